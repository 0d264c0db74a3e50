// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
)

// fileSource plays a video file at its configured pace and begins again at its end.
type fileSource struct {
	path     string
	settings Settings
	clock    *clock
	video    *reader
	played   int // pictures since the beginning of the file
}

func openFile(ctx context.Context, s Settings, path string) (Source, error) {
	f := &fileSource{path: path, settings: s, clock: newClock(s.FPS)}
	if err := f.rewind(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *fileSource) rewind(ctx context.Context) error {
	if f.video != nil {
		if err := f.video.Close(); err != nil {
			return err
		}
	}
	video, err := f.begin(ctx)
	if errors.Is(err, errNotOpened) && !errors.Is(err, errNoTurn) {
		return fmt.Errorf("%s: %w: does the disk or network share that holds it answer?", f.path, err)
	}
	if err != nil {
		return err
	}
	f.video, f.played = video, 0
	return nil
}

// begin looks at the file before it has its turn: on a share whose server is gone that hangs, as all does there.
func (f *fileSource) begin(ctx context.Context) (*reader, error) {
	file, err := openWithin(ctx, f.settings.URI, f.settings.OpenLimit, func() (*os.File, error) { return os.Open(f.path) })
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: name a video that exists and that this user may read", err)
	}
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	return readOnDemand(ctx, f.settings, f.open)
}

func (f *fileSource) open() (openCVCapture, error) {
	is := look(f.path) // before: another file may come in its place meanwhile
	video, err := openCapture(f.path, gocv.VideoCaptureFFmpeg)
	if err != nil {
		return nil, fmt.Errorf("%s is not a video that OpenCV can read: %w", f.path, err)
	}
	return &looped{VideoCapture: video, path: f.path, was: is}, nil
}

// looped begins anew without to be opened anew, which would take a turn: a camera that never answers could have it just then. Where that
// gives another picture than the first, as of what has no index, or where another file is there now, the stream ends.
type looped struct {
	*gocv.VideoCapture
	path     string
	was      os.FileInfo
	begun    bool
	beginsAt float64
}

func look(path string) os.FileInfo {
	is, err := os.Stat(path)
	if err != nil {
		return nil // it is gone, so nothing is the same
	}
	return is
}

func (l *looped) Read(into *gocv.Mat) bool {
	given := l.VideoCapture.Read(into)
	switch {
	case !l.begun:
		l.begun, l.beginsAt = given, l.Get(gocv.VideoCapturePosMsec)
		return given
	case given:
		return true
	}
	return l.unchanged() && l.rewound(into)
}

func (l *looped) unchanged() bool {
	is := look(l.path)
	return is != nil && l.was != nil && os.SameFile(is, l.was) && is.Size() == l.was.Size() && is.ModTime().Equal(l.was.ModTime())
}

func (l *looped) rewound(into *gocv.Mat) bool {
	l.Set(gocv.VideoCapturePosFrames, 0)
	return l.VideoCapture.Read(into) && l.Get(gocv.VideoCapturePosMsec) == l.beginsAt
}

// Grab gives the next picture when it is due.
func (f *fileSource) Grab(ctx context.Context, into *frame.Picture) error {
	if err := f.clock.wait(ctx); err != nil {
		return err
	}
	err := f.video.Grab(ctx, into)
	if errors.Is(err, ErrEnded) && f.played > 0 {
		err = f.again(ctx, into)
	}
	if err != nil {
		return fmt.Errorf("play %s: %w", f.path, err)
	}
	f.played++
	return nil
}

// again begins anew. A camera that delivers must not be silent for long, so all that it waits for has one limit.
func (f *fileSource) again(ctx context.Context, into *frame.Picture) error {
	soon, cancel := context.WithTimeoutCause(ctx, f.settings.OpenLimit, errNotOpened)
	defer cancel()
	if err := f.rewind(soon); err != nil {
		return err
	}
	return f.video.Grab(ctx, into)
}

func (f *fileSource) Close() error { return f.video.Close() }

// openCapture opens with one back-end of OpenCV. gocv's own words are left out, for they hold the address and with it a
// password; what it made is closed also when it failed, for the tries go on for ever.
func openCapture(address string, backend gocv.VideoCaptureAPI) (*gocv.VideoCapture, error) {
	return usable(gocv.OpenVideoCaptureWithAPI(address, backend))
}

func usable(capture *gocv.VideoCapture, err error) (*gocv.VideoCapture, error) {
	if err == nil && capture.IsOpened() {
		return capture, nil
	}
	return nil, closeAfter(errors.New("OpenCV cannot open it"), capture)
}
