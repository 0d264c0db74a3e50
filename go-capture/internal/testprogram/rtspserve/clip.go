// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
)

// Types of NAL units (ITU-T H.264, table 7-1).
const (
	typeSPS       = 7
	typePPS       = 8
	typeDelimiter = 9
)

// clip is a video in memory: its access units, each a list of NAL units.
type clip struct {
	sps, pps []byte
	units    [][][]byte
}

func readClip(path string) (clip, error) {
	stream, err := os.ReadFile(path)
	if err != nil {
		return clip{}, err
	}
	var read clip
	for _, nal := range nals(stream) {
		read.add(nal)
	}
	if read.sps == nil || read.pps == nil || len(read.units) == 0 {
		return clip{}, fmt.Errorf("%s is no H.264 byte stream with delimiters: make it with -bf 0 -x264-params aud=1 -f h264", path)
	}
	return read, nil
}

// add appends a NAL unit to the picture that the newest delimiter began.
func (c *clip) add(nal []byte) {
	switch nal[0] & 0x1f {
	case typeDelimiter:
		c.units = append(c.units, nil)
		return
	case typeSPS:
		c.sps = nal
	case typePPS:
		c.pps = nal
	}
	if newest := len(c.units) - 1; newest >= 0 {
		c.units[newest] = append(c.units[newest], nal)
	}
}

// nals splits a byte stream at its start codes, 00 00 01 or 00 00 00 01.
func nals(stream []byte) (found [][]byte) {
	for _, part := range bytes.Split(stream, []byte{0, 0, 1}) {
		if part = bytes.TrimRight(part, "\x00"); len(part) > 0 {
			found = append(found, part)
		}
	}
	return found
}
