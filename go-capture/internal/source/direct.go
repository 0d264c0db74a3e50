// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"time"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/jpegfile"
	"visavis/capture/internal/libjpeg"
	"visavis/capture/internal/preprocess"
	"visavis/capture/internal/v4l2"
)

// direct reads a camera of the kernel without a library between: with the driver's numbers and times, and with the
// camera's own JPEG kept for viewers.
type direct struct {
	address  string
	camera   kernelCamera
	patience patience
	pace     pace
	unpack   unpacker
}

// kernelCamera is what direct needs of a v4l2.Camera.
type kernelCamera interface {
	Format() v4l2.Format
	Next(ctx context.Context, limit time.Duration) (v4l2.Shot, error)
	Close() error
}

// unpacker writes one shot of a camera into a picture whose size is set.
type unpacker func(shot []byte, format v4l2.Format, into *frame.Picture) error

func openDirect(ctx context.Context, s Settings, path string) (Source, error) {
	camera, err := openWithin(ctx, s.URI, s.OpenLimit, func() (*v4l2.Camera, error) {
		return v4l2.Open(path, v4l2.Wish{Width: s.Width, Height: s.Height, FPS: s.FPS, Pixels: pixelsFor(s.PixelFormat)})
	})
	if err != nil {
		return nil, err
	}
	return newDirect(s, camera), nil
}

func newDirect(s Settings, camera kernelCamera) *direct {
	return &direct{
		address: s.URI, camera: camera, patience: newPatience(s.StallLimit), pace: newPace(s.MostFPS), unpack: unpackers()[camera.Format().Pixels],
	}
}

// pixelsFor orders the formats. JPEG goes first: over USB 2 it alone carries HD at 30 fps, and viewers get it as it is.
func pixelsFor(setting string) []v4l2.FourCC {
	switch setting {
	case "mjpg":
		return []v4l2.FourCC{v4l2.MJPG, v4l2.JPEG}
	case "yuyv":
		return []v4l2.FourCC{v4l2.YUYV}
	default:
		return []v4l2.FourCC{v4l2.MJPG, v4l2.JPEG, v4l2.YUYV, v4l2.UYVY, v4l2.NV12, v4l2.BGR3}
	}
}

func unpackers() map[v4l2.FourCC]unpacker {
	return map[v4l2.FourCC]unpacker{
		v4l2.MJPG: unpackJPEG, v4l2.JPEG: unpackJPEG,
		v4l2.YUYV: raw{2, 2, gocv.ColorYUVToBGRYUY2}.unpack,
		v4l2.UYVY: raw{2, 2, gocv.ColorYUVToBGRUYVY}.unpack,
		v4l2.NV12: raw{1, 3, gocv.ColorYUVToBGRNV12}.unpack,
		v4l2.BGR3: raw{3, 2, asIs}.unpack,
	}
}

// Grab takes the newest picture that is due. One that is damaged or cannot be unpacked is passed over: a cable that shakes damages single
// pictures, and a camera that sends nothing else has stalled. Those that are not due count as whole.
func (d *direct) Grab(ctx context.Context, into *frame.Picture) error {
	format := d.camera.Format()
	if err := into.SetSize(format.Width, format.Height); err != nil {
		return err
	}
	deadline, damage := time.Now().Add(d.patience.next), error(nil)
	for {
		shot, err := d.next(ctx, deadline)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.Join(ErrStalled, damage)
		}
		if errors.Is(err, v4l2.ErrDamaged) {
			damage = err
			continue
		}
		if err != nil {
			return fmt.Errorf("read the camera: %w", err)
		}
		if !d.pace.due(shot.TakenNs) {
			if damage == nil || errors.Is(damage, v4l2.ErrDamaged) { // whole, says the driver
				damage, deadline = nil, time.Now().Add(d.patience.stall)
			}
			continue
		}
		into.CapturedNs, into.DriverSeq, into.JPEG = shot.TakenNs, uint64(shot.Sequence)+1, nil
		if damage = d.unpack(shot.Bytes, format, into); damage == nil {
			d.pace.took(shot.TakenNs)
			d.patience.gave()
			return nil
		}
	}
}

// next holds the deadline against a camera that sends without pause, too: one gives what is there before it looks at the time.
func (d *direct) next(ctx context.Context, deadline time.Time) (v4l2.Shot, error) {
	left := time.Until(deadline)
	if left <= 0 {
		return v4l2.Shot{}, os.ErrDeadlineExceeded
	}
	return d.camera.Next(ctx, left)
}

func (d *direct) Close() error { return closeWithin(d.address, leastStallLimit, d.camera) }

// grownMost is how many times the pixels that it was set to a camera may send.
const grownMost = 4

// unpackJPEG decodes and keeps the JPEG, with tables that everybody can read it by. Some cameras change their resolution without a word:
// only of a picture that is not of the size that it should be is the header read.
func unpackJPEG(shot []byte, format v4l2.Format, into *frame.Picture) error {
	end := jpegfile.End(shot) // behind it is what drivers pad with, or what they left of pictures before
	if end < 0 {
		return errors.New("the camera's JPEG is cut off")
	}
	whole := shot[:end]
	err := libjpeg.Decode(whole, 1, into.Pixels, into.Width, into.Height)
	if errors.Is(err, libjpeg.ErrSize) {
		if err := followSize(whole, format, into); err != nil {
			return err
		}
		err = libjpeg.Decode(whole, 1, into.Pixels, into.Width, into.Height)
	}
	if err != nil {
		return fmt.Errorf("damaged JPEG of the camera: %w", err)
	}
	into.SetJPEG(libjpeg.Complete(whole)...)
	return nil
}

// followSize gives a picture the size of a JPEG. A camera that claims to have grown too much gets no memory.
func followSize(whole []byte, format v4l2.Format, into *frame.Picture) error {
	header, err := jpeg.DecodeConfig(bytes.NewReader(whole))
	if err != nil {
		return fmt.Errorf("damaged JPEG of the camera: %w", err)
	}
	if header.Width*header.Height > grownMost*format.Width*format.Height {
		return fmt.Errorf("JPEG of %dx%d pixels from a camera of %dx%d", header.Width, header.Height, format.Width, format.Height)
	}
	return into.SetSize(header.Width, header.Height)
}

// raw is an uncompressed format: how it lies in memory, and how it becomes BGR.
type raw struct {
	pixelBytes int
	halfRows   int // lines in memory for each two lines of the picture
	toBGR      gocv.ColorConversionCode
}

const asIs gocv.ColorConversionCode = -1

func (r raw) unpack(shot []byte, format v4l2.Format, into *frame.Picture) error {
	lines, err := r.wrap(shot, format)
	if err != nil {
		return err
	}
	defer lines.Close()
	visible, err := preprocess.Region(lines, image.Rect(0, 0, format.Width*r.pixelBytes, lines.Rows()))
	if err != nil {
		return err
	}
	defer visible.Close()
	pixels := visible.Reshape(r.pixelBytes, 0)
	defer pixels.Close()
	return preprocess.Into(into, func(picture *gocv.Mat) error {
		if r.toBGR == asIs {
			return pixels.CopyTo(picture)
		}
		return gocv.CvtColor(pixels, picture, r.toBGR)
	})
}

// wrap lets OpenCV see the camera's memory as lines of bytes: a line may end in padding, which need not be whole pixels.
func (r raw) wrap(shot []byte, format v4l2.Format) (gocv.Mat, error) {
	rows, lineBytes := format.Height*r.halfRows/2, max(format.StrideBytes, format.Width*r.pixelBytes)
	size := rows * lineBytes
	if len(shot) < size {
		return gocv.Mat{}, fmt.Errorf("picture of %d bytes from the camera, wanted %d", len(shot), size)
	}
	return gocv.NewMatFromBytes(rows, lineBytes, gocv.MatTypeCV8UC1, shot[:size])
}
