// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/backoff"
	"visavis/capture/internal/config"
	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/logtest"
	"visavis/capture/internal/source"
	"visavis/capture/internal/updown"
	"visavis/capture/internal/usbreset"
	"visavis/capture/internal/web"
)

// patient is a camera with a clock of its own; each of its resets ends with answer.
type patient struct {
	*camera
	in     *Appliance
	at     time.Time
	answer error
	resets int
	log    strings.Builder
}

func newPatient(t *testing.T, answer error) *patient {
	t.Helper()
	p := &patient{in: configured(t), at: time.Unix(1_800_000_000, 0), answer: answer}
	var err error
	if p.camera, err = p.in.newCamera(config.Camera{ID: "door"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.pool.Close)
	now := func() time.Time { return p.at }
	p.camera.log, p.healer = updown.New(now), newHealer(now)
	p.healer.reset = func(context.Context, string) (string, error) { p.resets++; return "1-2", p.answer }
	logtest.Hear(t, slog.NewTextHandler(&p.log, nil))
	return p
}

// fails lets every try of so long a time end with err.
func (p *patient) fails(t *testing.T, long time.Duration, err error) {
	t.Helper()
	for end := p.at.Add(long); p.at.Before(end); p.at = p.at.Add(3 * time.Second) {
		p.lost(err)
		p.heal(t.Context(), err)
	}
}

func TestACameraThatHangsIsResetAndSaysSoUntilItGivesPictures(t *testing.T) {
	p := newPatient(t, nil)
	p.fails(t, time.Minute, source.ErrStalled)
	if _, why := p.state(); !strings.HasSuffix(why, "a reset of its USB device did not help: pull its plug") {
		t.Errorf("the status says %q", why)
	}
	if got := p.in.cameraView(p.camera, dispatch.Counters{}).USBResets; got != 1 || p.resets != 1 {
		t.Errorf("%d resets of %d are counted", got, p.resets)
	}
	err := p.session(t.Context(), &onePicture{}, backoff.New(firstRetry, mostRetry))
	p.lost(err)
	if _, why := p.state(); why != source.ErrStalled.Error() {
		t.Errorf("after a picture the status says %q", why)
	}
}

func TestACameraThatHangsForADayWritesFewLines(t *testing.T) {
	for answer, words := range map[error]string{
		nil:            "camera hangs, its USB device was reset",
		syscall.EACCES: "camera hangs, its USB device cannot be reset",
	} {
		p := newPatient(t, answer)
		p.fails(t, 24*time.Hour, source.ErrStalled)
		if n := strings.Count(p.log.String(), words); n == 0 || n > 24 {
			t.Errorf("%v: it is said %d times in a day", answer, n)
		}
		if n := strings.Count(p.log.String(), "\n"); n > 2*24 {
			t.Errorf("%v: %d lines in a day", answer, n)
		}
	}
}

func TestACameraThatIsAwayOrAnothersOrForbiddenIsNotReset(t *testing.T) {
	for _, err := range []error{fs.ErrNotExist, fs.ErrPermission, fmt.Errorf("VIDIOC_S_FMT: %w", syscall.EBUSY)} {
		p := newPatient(t, nil)
		p.fails(t, time.Hour, err)
		if p.resets != 0 {
			t.Errorf("%v: %d resets", err, p.resets)
		}
	}
}

func TestWhatCannotBeResetIsNotCountedAndSaysWhyWhereSomebodyCanMendIt(t *testing.T) {
	for answer, told := range map[error]string{
		usbreset.ErrNoCamera: "", syscall.EBUSY: "", errors.New("the udev rule is missing"): "cannot be reset: the udev rule is missing",
	} {
		p := newPatient(t, answer)
		p.fails(t, time.Minute, source.ErrStalled)
		state, why := p.state()
		if state != web.CameraLost || (told == "" && why != source.ErrStalled.Error()) || !strings.HasSuffix(why, told) {
			t.Errorf("%v: the status says %q", answer, why)
		}
		if p.resets != 1 || p.healer.done.Load() != 0 {
			t.Errorf("%v: %d of %d resets are counted", answer, p.healer.done.Load(), p.resets)
		}
		if (told == "") != !strings.Contains(p.log.String(), "cannot be reset") {
			t.Errorf("%v: %s", answer, p.log.String())
		}
	}
}

func TestACameraThatIsNotWantedIsNotReset(t *testing.T) {
	p := newPatient(t, nil)
	p.fails(t, 29*time.Second, source.ErrStalled)
	off, end := context.WithCancel(t.Context())
	end()
	p.heal(off, source.ErrStalled)
	p.fails(t, 29*time.Second, source.ErrStalled)
	if p.resets != 0 {
		t.Errorf("%d resets", p.resets)
	}
}
