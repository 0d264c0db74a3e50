// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/logtest"
	"visavis/capture/internal/updown"
	"visavis/capture/internal/waiting"
)

// heardLink is a link to the broker at url, and what the log says from now on.
func heardLink(t *testing.T, url string) (*link, *strings.Builder) {
	t.Helper()
	var written strings.Builder
	logtest.Hear(t, slog.NewTextHandler(&written, nil))
	l, err := newLink(Settings{URL: url, Device: "porch"}, "")
	if err != nil {
		t.Fatal(err)
	}
	return l, &written
}

func TestEachOutageIsSaidOnce(t *testing.T) {
	l, written := heardLink(t, "mqtt://127.0.0.1:1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	now := time.Now()
	l.log = updown.New(func() time.Time { return now })
	reaches, tried := []bool{true, false, true, false}, 0 // each loss is followed by a try that fails the same way
	err := l.keep(ctx, func(_ context.Context, reached func()) error {
		if tried == len(reaches) {
			cancel()
			return ctx.Err()
		}
		if reaches[tried] {
			reached()
			l.setOnline(true)
			now = now.Add(24 * time.Hour)
		}
		tried++
		return errors.New("cable pulled")
	})
	if err != nil || strings.Count(written.String(), "broker away") != 2 || strings.Count(written.String(), "broker connected") != 2 {
		t.Errorf("%v, said: %s", err, written.String())
	}
}

// Two devices of one device.id, as after copying a card, end each other's connections: not many times a second, and not without a word.
func TestABrokerThatEndsEachConnectionSoonIsTriedEverLessOften(t *testing.T) {
	l, written := heardLink(t, "mqtt://127.0.0.1:1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began, tried := time.Now(), 0
	err := l.keep(ctx, func(_ context.Context, reached func()) error {
		reached()
		l.setOnline(true)
		if tried++; tried == 4 {
			cancel()
		}
		return errors.New("EOF")
	})
	if least := 7 * firstRetry / 2; err != nil || time.Since(began) < least {
		t.Errorf("%v, the fourth try came after %v, want at least %v", err, time.Since(began), least)
	}
	if !strings.Contains(written.String(), "another device") || strings.Count(written.String(), "\n") != 3 {
		t.Errorf("it goes on so for a month, and each time is said: %s", written.String())
	}
}

// A proxy without a broker behind it, as a cluster or a forwarded port has, lets in and hangs up; each try comes from another port.
func TestABrokerThatHangsUpIsSaidOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			caller, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = caller.Read(make([]byte, 1)) // what is unread makes it a reset
			_ = caller.Close()
		}
	}()
	defer listener.Close()
	l, written := heardLink(t, "mqtt://"+listener.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tried := 0
	err = l.keep(ctx, func(ctx context.Context, _ func()) error {
		if tried++; tried == 3 {
			defer cancel()
		}
		_, err := l.connect(ctx, will{topic: "visavis/porch/status"}, make(chan error, 1))
		return err
	})
	if err != nil || strings.Count(written.String(), "broker away") != 1 || !strings.Contains(written.String(), listener.Addr().String()) {
		t.Errorf("%v, said: %s", err, written.String())
	}
}

// TestAPasswordOnADiskThatHangsHoldsUpNobodyWhoEnds: a pipe stands for the disk, since whoever opens it waits for somebody who writes.
func TestAPasswordOnADiskThatHangsHoldsUpNobodyWhoEnds(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "password")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, Settings{URL: "mqtt://127.0.0.1:1", Prefix: "visavis", Device: "box", User: "box", PasswordFile: pipe})
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	var writer *os.File
	waiting.Until(t, "it reads the password", func() (reads bool) {
		var err error
		writer, err = os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0) // fails until there is a reader
		return err == nil
	})
	end()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the device waits for it")
	}
	_ = writer.Close() // the one who waited reads nothing, and ends
}
