// SPDX-License-Identifier: Apache-2.0

package ring

import "testing"

// FuzzMessagesOfWorkers: what is taken has the size and the head that it says, and written again it is read as the same.
func FuzzMessagesOfWorkers(f *testing.F) {
	for _, seed := range []struct {
		size int
		put  func([]byte)
	}{
		{HelloBytes, (&Hello{Major: Major, Credit: 2}).Put}, {CreditBytes, (&Credit{Credit: 1}).Put},
		{ResultBytes, (&Result{LeaseID: 7}).Put}, {ResultBytes + DetectionBytes, (&Result{LeaseID: 7, DetectionCount: 1}).Put},
		{ServerStateBytes, (&ServerState{Losses: 1}).Put},
	} {
		packet := make([]byte, seed.size)
		seed.put(packet)
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		var hello, helloAgain Hello
		var credit, creditAgain Credit
		var result, resultAgain Result
		var server, serverAgain ServerState
		for name, taken := range map[string]bool{
			"HELLO":  hello.Decode(packet) != nil || again(packet, HelloBytes, hello.Put, helloAgain.Decode) && hello == helloAgain,
			"CREDIT": credit.Decode(packet) != nil || again(packet, CreditBytes, credit.Put, creditAgain.Decode) && credit == creditAgain,
			"RESULT": result.Decode(packet) != nil || again(packet, ResultBytes, result.Put, resultAgain.Decode) && result == resultAgain,
			"SERVER_STATE": server.Decode(packet) != nil ||
				again(packet, ServerStateBytes, server.Put, serverAgain.Decode) && server == serverAgain,
		} {
			if !taken {
				t.Errorf("%s of %d bytes is read differently the second time", name, len(packet))
			}
		}
	})
}

// again writes over the fixed part of a packet what was read from it, and reads that.
func again(packet []byte, size int, put func([]byte), decodeAgain func([]byte) error) bool {
	written := append([]byte{}, packet...)
	put(written[:size])
	return decodeAgain(written) == nil
}
