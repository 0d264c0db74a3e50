// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/backoff"
	"visavis/capture/internal/config"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/logtest"
	"visavis/capture/internal/source"
	"visavis/capture/internal/waiting"
	"visavis/capture/internal/web"
)

// read is a configuration of variables alone.
func read(t *testing.T, environment ...string) *config.Config {
	t.Helper()
	settings, err := config.Load("", append(environment, "VISAVIS_DEVICE__ID=box"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

func TestAReloadTellsWhatItLeavesAsItWas(t *testing.T) {
	for changed, sections := range map[string]string{
		"": "", "VISAVIS_CAMERA__0__FPS=5": "", "VISAVIS_AUTH__ENABLED=true": "sections=auth\n", "VISAVIS_MQTT__PREFIX=house": "sections=mqtt\n",
	} {
		var said bytes.Buffer
		logtest.Hear(t, slog.NewTextHandler(&said, nil))
		a := &Appliance{config: read(t), reloads: make(chan *config.Config, 1)}
		a.Reload(t.Context(), read(t, changed))
		if !strings.HasSuffix(said.String(), sections) || (sections == "") != (said.Len() == 0) {
			t.Errorf("%q: %q, want %q", changed, said.String(), sections)
		}
	}
}

func TestAReloadThatNobodyTakesEndsWithTheDaemon(t *testing.T) {
	a := &Appliance{config: read(t), reloads: make(chan *config.Config)}
	ctx, stop := context.WithCancel(t.Context())
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		a.Reload(ctx, read(t))
	}()
	stop()
	<-reloaded
}

// Each camera here ends only after the other was told to: one that takes its time must not make the others wait.
func TestCamerasThatGoEndAtTheSameTime(t *testing.T) {
	a := configured(t)
	var told sync.WaitGroup
	for _, id := range []string{"door", "yard"} {
		c, err := a.newCamera(config.Camera{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		told.Add(1)
		c.cancel = sync.OnceFunc(told.Done)
		go func() { told.Wait(); close(c.ended) }()
		a.cameras[id] = c
	}
	a.apply(&config.Config{})
	if left := a.snapshotCameras(); len(left) > 0 {
		t.Errorf("%v are still there", left)
	}
}

// idleDoor is a camera that nobody runs, of an appliance that is configured by variables.
func idleDoor(t *testing.T, environment ...string) *camera {
	t.Helper()
	c, err := configured(t, environment...).newCamera(config.Camera{ID: "door"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.pool.Close)
	return c
}

// A worker that takes batches holds many frames of one camera.
func TestACameraHasAPictureForEachFrameThatWorkersMayHold(t *testing.T) {
	const workers, credit = 2, 32
	c := idleDoor(t, "VISAVIS_DETECTOR__WORKERS=2", "VISAVIS_WORKER__CREDIT=32")
	for n := range workers * credit {
		picture, ok := c.pool.Get()
		if !ok {
			t.Fatalf("there are only %d pictures", n)
		}
		defer picture.Release()
	}
}

// onePicture is a camera that breaks after its first picture.
type onePicture struct{ gave bool }

func (o *onePicture) Grab(_ context.Context, into *frame.Picture) error {
	if o.gave {
		return source.ErrStalled
	}
	o.gave = true
	return into.SetSize(64, 48)
}

func (*onePicture) Close() error { return nil }

func TestACameraThatAlwaysBreaksSoonIsTriedEverLessOften(t *testing.T) {
	c := idleDoor(t)
	wait := backoff.New(firstRetry, time.Hour) // what ran for so long would be tried soon again
	for range 6 {
		wait.Next()
		if err := c.session(t.Context(), &onePicture{}, wait); !errors.Is(err, source.ErrStalled) {
			t.Fatal(err)
		}
	}
	if got := wait.Next(); got < 32*firstRetry {
		t.Errorf("the next try comes after %v", got)
	}
}

func TestACameraThatAlwaysBreaksSoonDoesNotFillTheLog(t *testing.T) {
	c := idleDoor(t)
	var written strings.Builder
	logtest.Hear(t, slog.NewTextHandler(&written, nil))
	for range 8 { // fewer than there are pictures: nobody gives one back
		c.lost(c.session(t.Context(), &onePicture{}, backoff.New(firstRetry, mostRetry)))
	}
	if lines := strings.Count(written.String(), "\n"); lines != 3 { // it delivers, is lost, delivers again
		t.Errorf("%d lines: %s", lines, written.String())
	}
	if state, why := c.state(); state != web.CameraLost || why == "" {
		t.Errorf("the status says %q, %q", state, why)
	}
}

// There are no descriptors left when the daemon starts, and some later.
func TestACameraThatCouldNotHaveARingIsTriedAgain(t *testing.T) {
	a := configured(t, "VISAVIS_CAMERA__0__SOURCE=push:")
	refusals, starts := &lines{text: "camera refused"}, &lines{text: "camera started"}
	logtest.Hear(t, slog.NewTextHandler(io.MultiWriter(refusals, starts), nil))
	restore := withoutDescriptors(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.runCameras(ctx) }()
	waiting.Until(t, "it is refused", func() bool { return refusals.seen.Load() > 0 })
	time.Sleep(2 * firstRetry) // another try says nothing new
	restore()
	waiting.Until(t, "it starts", func() bool { return starts.seen.Load() > 0 })
	if n := refusals.seen.Load(); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// withoutDescriptors lets the process open nothing until restore is called.
func withoutDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var usual syscall.Rlimit
	set := func(limit syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &usual); err != nil {
		t.Fatal(err)
	}
	restore = sync.OnceFunc(func() { set(usual) })
	t.Cleanup(restore)
	set(syscall.Rlimit{Cur: 0, Max: usual.Max})
	return restore
}

func TestACameraThatIsPluggedInEndsThePauseBeforeTheNextTry(t *testing.T) {
	c := idleDoor(t)
	node := filepath.Join(t.TempDir(), "video0")
	c.settings.Source = "v4l2:" + node
	wait := backoff.New(4*time.Hour, 24*time.Hour)
	rested := make(chan struct{})
	go func() { c.rest(t.Context(), wait, 0); close(rested) }()
	// Whoever rests must have seen once that there is no node: pull it and plug it in until that is so.
	waiting.Until(t, "the pause has ended", func() bool {
		pullOrPlug(t, node)
		select {
		case <-rested:
			return true
		default:
			return false
		}
	})
	if got := wait.Next(); got > 4*time.Hour {
		t.Errorf("the try after it comes after %v, as if nothing had been plugged in", got)
	}
}

// pullOrPlug removes a device node, or makes it where there is none.
func pullOrPlug(t *testing.T, node string) {
	t.Helper()
	err := os.Remove(node)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.WriteFile(node, nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
