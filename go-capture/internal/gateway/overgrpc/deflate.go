// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"compress/zlib"
	"io"
	"sync"

	"google.golang.org/grpc/encoding"
)

// deflate is the second packing that tritonclient offers, which grpc-go does not bring: zlib's form, as in HTTP.
type deflate struct{ writers sync.Pool }

// takeDeflate tells grpc, which asks for it to be done once and before anything is served.
var takeDeflate = sync.OnceFunc(func() { encoding.RegisterCompressor(&deflate{}) })

// Name is what grpc-encoding says.
func (*deflate) Name() string { return "deflate" }

// Decompress reads what is packed. What comes out is bounded as any message.
func (*deflate) Decompress(packed io.Reader) (io.Reader, error) { return zlib.NewReader(packed) }

// Compress packs an answer. A writer takes most of a megabyte, so it is used again.
func (d *deflate) Compress(into io.Writer) (io.WriteCloser, error) {
	if writer, ok := d.writers.Get().(*zlib.Writer); ok {
		writer.Reset(into)
		return &pooled{writer, d}, nil
	}
	return &pooled{zlib.NewWriter(into), d}, nil
}

type pooled struct {
	*zlib.Writer
	of *deflate
}

// Close writes the end.
func (p *pooled) Close() error {
	defer p.of.writers.Put(p.Writer)
	return p.Writer.Close()
}
