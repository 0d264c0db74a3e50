// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"errors"
	"math"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/ring"
)

// readPacket reads one whole packet, or says why the connection must close. Descriptors that a hostile peer sends are dropped by
// the kernel, since no room is given for them.
func readPacket(conn *net.UnixConn, buffer []byte) (packet []byte, reason string) {
	n, _, flags, _, err := conn.ReadMsgUnix(buffer, nil)
	if errors.Is(err, unix.ECONNRESET) { // told once, of one that went and left something unread: what it said before lies behind it
		n, _, flags, _, err = conn.ReadMsgUnix(buffer, nil)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, overdue
	case err != nil || (n == 0 && flags&unix.MSG_CTRUNC == 0):
		return nil, hungUp // a zero-length packet looks the same
	case flags&unix.MSG_TRUNC != 0:
		return nil, "too long"
	case flags&unix.MSG_CTRUNC != 0:
		return nil, "sent a descriptor"
	}
	return buffer[:n], ""
}

// take handles one packet of a worker; the answer is the reason to close the connection, if any.
func (d *Dispatcher) take(w *worker, packet []byte) string {
	if len(packet) < ring.HeadBytes {
		return "malformed"
	}
	var head ring.Head
	head.Get(packet)
	switch head.Type {
	case ring.TypeResult:
		return d.takeResult(w, packet)
	case ring.TypeCredit:
		return d.takeCredit(w, packet)
	case ring.TypeServerState:
		return d.takeServerState(w, packet)
	}
	return "unknown message"
}

func (d *Dispatcher) takeCredit(w *worker, packet []byte) string {
	var message ring.Credit
	if message.Decode(packet) != nil || message.Credit > ring.MaxCredit {
		return "malformed"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if message.Credit == 0 {
		d.leaves(w)
	}
	w.credit = min(int(message.Credit), w.granted)
	d.pump()
	return ""
}

func (d *Dispatcher) takeServerState(w *worker, packet []byte) string {
	var message ring.ServerState
	if message.Decode(packet) != nil {
		return "malformed"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w.server = &ServerState{Losses: message.Losses, LocalFrames: message.LocalFrames}
	return ""
}

func (d *Dispatcher) takeResult(w *worker, packet []byte) string {
	var message ring.Result
	if message.Decode(packet) != nil {
		return "malformed"
	}
	if int64(message.DetectionCount) > int64(d.options.MaxDetections) {
		return "too many detections"
	}
	found, finite := detections(packet[ring.ResultBytes:])
	if !finite {
		return "not finite"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l := w.leases[message.LeaseID]
	if l == nil {
		return "unknown lease"
	}
	d.complete(l, &message, found)
	d.pump()
	return ""
}

// detections decodes them; finite is false when any number of them is NaN or infinite.
func detections(raw []byte) (found []ring.Detection, finite bool) {
	found = make([]ring.Detection, len(raw)/ring.DetectionBytes)
	for i := range found {
		found[i].Get(raw[i*ring.DetectionBytes:])
		if !allFinite(&found[i]) {
			return nil, false
		}
	}
	return found, true
}

func allFinite(f *ring.Detection) bool {
	// NaN and infinity survive a multiplication by zero as NaN, so one sum shows any of them.
	sum := 0*f.X1 + 0*f.Y1 + 0*f.X2 + 0*f.Y2 + 0*f.Score
	for _, point := range f.Landmarks {
		sum += 0*point[0] + 0*point[1]
	}
	return !math.IsNaN(float64(sum))
}

// clamp brings what a worker may say of a picture into what can be.
func clamp(found []ring.Detection, width, height float32) {
	for i := range found {
		f := &found[i]
		f.Score = min(max(f.Score, 0), 1)
		f.X1, f.X2 = min(max(f.X1, 0), width), min(max(f.X2, 0), width)
		f.Y1, f.Y2 = min(max(f.Y1, 0), height), min(max(f.Y2, 0), height)
	}
}

// within is a time that a worker says, moved to between two of our own.
func within(saidNs, fromNs, toNs int64) int64 { return min(max(saidNs, fromNs), toNs) }

// complete ends a lease with its result. The frame ends too, unless it has ended already, or failed and another worker may have it yet.
// The mutex is held.
func (d *Dispatcher) complete(l *lease, message *ring.Result, found []ring.Detection) {
	resultNs := now()
	w, slot := l.worker, l.slot
	l.giveBack()
	d.save()
	w.learn(l, message, resultNs)
	d.sendToRest(w, l.weight, resultNs)
	if slot.state == spent {
		slot.release()
		return
	}
	if message.Status != ring.StatusOK && slot.elsewhere() {
		return
	}
	slot.stream.unwait(slot)
	slot.dispatchNs = l.dispatchNs
	outcome := Outcome{Fate: Inferred, Worker: w.id, Model: w.model, ResultNs: resultNs}
	outcome.ReceivedNs = within(message.ReceivedNs, l.dispatchNs, resultNs)
	outcome.InferBeginNs = within(message.InferBeginNs, outcome.ReceivedNs, resultNs)
	outcome.InferEndNs = within(message.InferEndNs, outcome.InferBeginNs, resultNs)
	if message.Status == ring.StatusOK {
		width, height := slot.size()
		clamp(found, float32(width), float32(height))
		outcome.Detections = found
		slot.stream.account.Inferred++
	} else {
		outcome.Fate = Abandoned
		slot.stream.account.countStatus(message.Status)
	}
	slot.end(outcome)
}

// learn takes what a result tells about its worker.
func (w *worker) learn(l *lease, message *ring.Result, resultNs int64) {
	w.serviceNs = averaged(w.serviceNs, float64(resultNs-max(l.dispatchNs, w.resultNs))/l.weight)
	w.batch = averaged(w.batch, float64(min(max(message.Batch, 1), ring.MaxCredit)))
	w.resultNs = resultNs
	w.frames++
	if message.Flags&ring.ResultFlagViewLeaked != 0 {
		w.viewsLeaked++
	}
}

// averaged moves an average by an eighth of the difference; 0 is one that is not known yet.
func averaged(average, sample float64) float64 {
	if average == 0 {
		return sample
	}
	return average + (sample-average)/8
}
