// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"errors"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of fields and types are those of the Sparkplug specification 3.0, chapter 6.4. Only what we say is here: a handful of
// fields needs no generated code.
const (
	payloadTimestamp, payloadMetrics, payloadSeq                = 1, 2, 3
	metricName, metricTimestamp, metricType, metricNull         = 1, 3, 4, 7
	metricInt, metricLong, metricDouble, metricBool, metricText = 10, 11, 13, 14, 15

	typeInt32, typeInt64, typeUInt64, typeDouble, typeBoolean, typeString = 3, 4, 8, 10, 11, 12
)

// metric is one value under its name: int32, int64 (neither below 0), uint64, float64, bool or string; a *float64 is one that may not be
// known. There is no uint32: some decoders look for it in int_value, others in long_value.
type metric struct {
	name  string
	value any
}

// encodeSparkplug writes a payload; seq is nil for the will, which has none.
func encodeSparkplug(at time.Time, seq *uint64, metrics ...metric) []byte {
	ms := uint64(at.UnixMilli())
	raw := appendVarint(nil, payloadTimestamp, ms)
	for _, m := range metrics {
		raw = protowire.AppendTag(raw, payloadMetrics, protowire.BytesType)
		raw = protowire.AppendBytes(raw, m.encode(ms))
	}
	if seq != nil {
		raw = appendVarint(raw, payloadSeq, *seq)
	}
	return raw
}

func (m metric) encode(ms uint64) []byte {
	raw := protowire.AppendTag(nil, metricName, protowire.BytesType)
	raw = appendVarint(protowire.AppendString(raw, m.name), metricTimestamp, ms)
	switch value := m.value.(type) {
	case int32:
		return appendVarint(appendVarint(raw, metricType, typeInt32), metricInt, uint64(value))
	case int64:
		return appendVarint(appendVarint(raw, metricType, typeInt64), metricLong, uint64(value))
	case uint64:
		return appendVarint(appendVarint(raw, metricType, typeUInt64), metricLong, value)
	case float64:
		raw = protowire.AppendTag(appendVarint(raw, metricType, typeDouble), metricDouble, protowire.Fixed64Type)
		return protowire.AppendFixed64(raw, math.Float64bits(value))
	case *float64:
		if value == nil {
			return appendVarint(appendVarint(raw, metricType, typeDouble), metricNull, 1)
		}
		return metric{m.name, *value}.encode(ms)
	case bool:
		return appendVarint(appendVarint(raw, metricType, typeBoolean), metricBool, protowire.EncodeBool(value))
	default:
		raw = protowire.AppendTag(appendVarint(raw, metricType, typeString), metricText, protowire.BytesType)
		return protowire.AppendString(raw, value.(string))
	}
}

func appendVarint(raw []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(raw, field, protowire.VarintType), value)
}

var errNotSparkplug = errors.New("not a payload of Sparkplug B")

// asksForRebirth reads a command; whatever else it asks for is nothing that we do.
func asksForRebirth(raw []byte) (asked bool, err error) {
	err = fields(raw, func(number protowire.Number, kind protowire.Type, value []byte) error {
		if number != payloadMetrics || kind != protowire.BytesType {
			return nil
		}
		one, err := isRebirth(value)
		asked = asked || one
		return err
	})
	return asked && err == nil, err
}

func isRebirth(raw []byte) (bool, error) {
	name, yes := "", false
	err := fields(raw, func(number protowire.Number, kind protowire.Type, value []byte) error {
		switch {
		case number == metricName && kind == protowire.BytesType:
			name = string(value)
		case number == metricBool && kind == protowire.VarintType:
			set, _ := protowire.ConsumeVarint(value) // fields has read it before
			yes = set != 0
		}
		return nil
	})
	return name == nodeRebirth && yes, err
}

// fields goes through a message: values are without their tags, and texts without their lengths.
func fields(raw []byte, each func(protowire.Number, protowire.Type, []byte) error) error {
	for len(raw) > 0 {
		number, kind, tag := protowire.ConsumeTag(raw)
		if tag < 0 {
			return errNotSparkplug
		}
		raw = raw[tag:]
		bytes := protowire.ConsumeFieldValue(number, kind, raw)
		if bytes < 0 {
			return errNotSparkplug
		}
		value := raw[:bytes]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		if err := each(number, kind, value); err != nil {
			return err
		}
		raw = raw[bytes:]
	}
	return nil
}
