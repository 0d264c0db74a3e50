// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"gocv.io/x/gocv"

	"visavis/capture/internal/v4l2"
)

// openV4L2 opens a camera of the kernel by its device path, also one below /dev/v4l/by-id. The direct reader comes
// first; "auto" falls back to OpenCV, which knows more formats.
func openV4L2(ctx context.Context, s Settings, path string) (Source, error) {
	throughOpenCV := pacing(openThroughOpenCV)
	if s.Reader == "opencv" {
		return throughOpenCV(ctx, s, path)
	}
	opened, err := openDirect(ctx, s, path)
	if errors.Is(err, v4l2.ErrNoFormat) && s.Reader != "direct" {
		converted, failed := throughOpenCV(ctx, s, path)
		if failed == nil {
			return converted, nil
		}
		err = fmt.Errorf("%w; through OpenCV: %w", err, failed) // what the camera has is more than that OpenCV cannot read it
	}
	return opened, withRemedy(s.URI, err)
}

// withRemedy says what people can do about a camera that does not open.
func withRemedy(camera string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: plug the camera in, or see `visavis doctor`", err)
	case errors.Is(err, syscall.EPERM): // the node would be readable
		return fmt.Errorf("%w: the service or container may not open cameras: DeviceAllow=char-video4linux, or --device", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: add this user to the group video", err)
	case errors.Is(err, syscall.EBUSY):
		return inUse(camera, err, "another program uses the camera, end it")
	case errors.Is(err, syscall.ENOSPC): // of the bus: uvcvideo reserves a part of it for each camera
		return fmt.Errorf("%w: the USB bus has no room for this camera beside the others: plug it into another controller, or ask for less with size and fps", err)
	case errors.Is(err, v4l2.ErrNoFormat):
		return fmt.Errorf("%w: set pixel_format = \"auto\" or reader = \"opencv\"; a camera on the CSI connector is csi:0", err)
	default:
		return err
	}
}

func openThroughOpenCV(ctx context.Context, s Settings, path string) (Source, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, withRemedy(s.URI, err)
	}
	opened, err := follow(ctx, s, func() (openCVCapture, error) {
		capture, err := openCapture(path, gocv.VideoCaptureV4L2)
		if err == nil {
			askFor(capture, s)
		}
		return capture, err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, inUse(s.URI, err, "is it in use, and may this user open it (group video)?"))
	}
	return opened, nil
}

// inUse says what to do about a camera that others seem to have. While calls of our own hang in its driver they keep it busy.
func inUse(camera string, err error, remedy string) error {
	if n := hanging.count(camera); n > 0 {
		return fmt.Errorf("%w: %w", err, callsHang(n))
	}
	return fmt.Errorf("%w: %s", err, remedy)
}

// askFor tells the camera what is wanted; it gives the nearest it has. The format goes first: it decides which sizes exist.
func askFor(capture *gocv.VideoCapture, s Settings) {
	formats := map[string]string{"": "MJPG", "auto": "MJPG", "mjpg": "MJPG", "yuyv": "YUYV"}
	capture.Set(gocv.VideoCaptureFOURCC, capture.ToCodec(formats[s.PixelFormat]))
	capture.Set(gocv.VideoCaptureFrameWidth, float64(s.Width))
	capture.Set(gocv.VideoCaptureFrameHeight, float64(s.Height))
	capture.Set(gocv.VideoCaptureFPS, s.FPS)
	capture.Set(gocv.VideoCaptureBufferSize, 1)
}
