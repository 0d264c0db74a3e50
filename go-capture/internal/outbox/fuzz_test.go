// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"testing"
	"time"
)

func sampleLog(n int) (raw []byte, records []Record) {
	for i := range n {
		r := Record{Seq: uint64(i + 1), Topic: fmt.Sprint("t", i), Payload: bytes.Repeat([]byte{byte(i)}, 3*i), At: time.Unix(int64(i), 5), RunningMs: 7}
		raw = r.encode(raw)
		records = append(records, r)
	}
	return raw, records
}

// FuzzScanner: whatever a file holds, the scanner ends, goes forward, and returns only records whose CRCs are right.
func FuzzScanner(f *testing.F) {
	whole, _ := sampleLog(4)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(append([]byte{0, 1, 2}, whole...))
	f.Add(binary.LittleEndian.AppendUint32(nil, recordMark))
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		scan := scanner{from: bytes.NewReader(data), size: int64(len(data))}
		for {
			before := scan.offset
			record, err := scan.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("a file in memory gave %v", err)
			}
			if scan.offset < before+headerBytes {
				t.Fatalf("went from %d to %d", before, scan.offset)
			}
			checkCRCs(t, data[:scan.offset], record)
		}
		if scan.offset < scan.size {
			t.Fatalf("ended at %d of %d", scan.offset, scan.size)
		}
	})
}

// checkCRCs looks at the record that ends where data ends, with nothing of the scanner's code.
func checkCRCs(t *testing.T, data []byte, r Record) {
	t.Helper()
	raw := data[len(data)-headerBytes-len(r.Topic)-len(r.Payload):]
	table := crc32.MakeTable(crc32.Castagnoli)
	switch {
	case crc32.Checksum(raw[8:44], table) != binary.LittleEndian.Uint32(raw[4:]):
		t.Fatalf("header CRC of %+v", r)
	case crc32.Checksum(raw[44:], table) != binary.LittleEndian.Uint32(raw[40:]):
		t.Fatalf("body CRC of %+v", r)
	case string(raw[44:]) != r.Topic+string(r.Payload) || binary.LittleEndian.Uint64(raw[8:]) != r.Seq:
		t.Fatalf("other content than %+v", r)
	}
}

// FuzzDamage: of a log with arbitrary damage only records come back that were in it, in their order, each at most once.
func FuzzDamage(f *testing.F) {
	f.Add(uint16(10), uint16(3), []byte{1})
	f.Add(uint16(0), uint16(0), []byte{})
	f.Add(uint16(60), uint16(200), []byte("another length"))
	f.Fuzz(func(t *testing.T, at, cut uint16, instead []byte) {
		whole, records := sampleLog(9)
		from := int(at) % (len(whole) + 1)
		until := min(from+int(cut), len(whole))
		damaged := append(append(append([]byte(nil), whole[:from]...), instead...), whole[until:]...)
		d := newMemoryDisk()
		s := segment{first: 1}
		d.files[s.name()] = &memoryFile{disk: d, name: s.name(), data: append(s.header(), damaged...)}
		o := loadedFrom(t, d, Settings{})
		last, came := uint64(0), uint64(0)
		for {
			got, found, err := o.take()
			if err != nil {
				t.Fatal(err)
			}
			if !found {
				break
			}
			if got.Seq <= last || got.Seq > 9 || !equal(got, records[got.Seq-1]) {
				t.Fatalf("%+v after %d", got, last)
			}
			last, came = got.Seq, came+1
			o.Ack(got.Seq)
		}
		if s := o.Stats(); s.Waiting != 0 || s.Corrupt != last-came {
			t.Fatalf("%d came, the last was %d: %+v", came, last, s)
		}
		if from == until && len(instead) == 0 && came != 9 {
			t.Fatalf("%d of 9 came without damage", came)
		}
	})
}

func equal(a, b Record) bool {
	return a.Topic == b.Topic && bytes.Equal(a.Payload, b.Payload) && a.At.Equal(b.At) && a.RunningMs == b.RunningMs
}

// FuzzFolder: whatever the files of a folder hold, it opens and then takes and gives events.
func FuzzFolder(f *testing.F) {
	whole, _ := sampleLog(3)
	p := position{generation: 1, settled: 2}
	f.Add(p.file(), append(segment{}.header(), whole...), whole)
	f.Add([]byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, held, first, second []byte) {
		d := newMemoryDisk()
		for name, data := range map[string][]byte{positionName: held, segment{first: 1}.name(): first, segment{first: 3}.name(): second} {
			d.files[name] = &memoryFile{disk: d, name: name, data: data}
		}
		o := newOutbox(Settings{}, d)
		if err := o.round(false); err != nil {
			t.Fatal(err)
		}
		put(t, o, 1, 2)
		round(t, o)
		seen := uint64(0)
		for {
			record, found, err := o.take()
			if err != nil {
				t.Fatal(err)
			}
			if !found {
				break
			}
			if record.Seq <= seen {
				t.Fatalf("%d after %d", record.Seq, seen)
			}
			seen = record.Seq
			o.Ack(record.Seq)
		}
		if s := o.Stats(); s.Waiting != 0 || seen != o.last() {
			t.Fatalf("last seen %d of %d: %+v", seen, o.last(), s)
		}
	})
}
