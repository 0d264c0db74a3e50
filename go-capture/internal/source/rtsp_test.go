// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/ports"
	"visavis/capture/internal/waiting"
)

// The clip: a white mark of markSize pixels that moves markStep to the right in each picture and begins again at the left. A second one
// below counts how often it did, so that no two pictures are the same, however many lie between two that are taken.
const (
	markSize, markStep, markSteps = 40, 20, 13 // a prime: whoever takes each second picture sees it at every place, too
	markTop, countTop             = 100, 180
	clipWidth, clipHeight         = 320, 240
)

// networkCamera is internal/testprogram/rtspserve as a program of its own: it can be stopped, ended and started again.
type networkCamera struct {
	t         *testing.T
	arguments []string
	process   *exec.Cmd
	stdin     io.Closer
	address   string // rtsp://…
}

// newNetworkCamera starts a camera that plays the clip; more are further arguments of rtspserve.
func newNetworkCamera(t *testing.T, more ...string) *networkCamera {
	t.Helper()
	if err := prepare(); err != nil {
		t.Fatal(err)
	}
	c := &networkCamera{t: t, arguments: append([]string{"-listen", ports.Free(t).String(), "-file", clipFile()}, more...)}
	c.start()
	t.Cleanup(c.end)
	return c
}

func serverFile() string { return filepath.Join(shared, "rtspserve") }
func clipFile() string   { return filepath.Join(shared, "mark.h264") }

// prepare makes the camera and its clip once for all tests: a busy machine takes a minute for that.
var prepare = sync.OnceValue(func() error {
	build := exec.Command("go", "build", "-o", serverFile(), "../testprogram/rtspserve")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build rtspserve: %w: %s", err, out)
	}
	return drawMovingMark()
})

func drawMovingMark() error { return drawMark(clipFile(), markSteps*markSteps, 7) }

// drawMark writes so many pictures, the first and then each `every`th as key frame.
func drawMark(path string, pictures, every int) error {
	command := exec.Command("ffmpeg", "-loglevel", "error",
		"-f", "lavfi", "-i", fmt.Sprintf("color=c=0x204080:s=%dx%d:r=30", clipWidth, clipHeight),
		"-f", "lavfi", "-i", fmt.Sprintf("color=c=white:s=%dx%d:r=30", markSize, markSize),
		"-filter_complex", fmt.Sprintf("[1]split[mark][count];[0][mark]overlay=x='mod(n,%[1]d)*%[2]d':y=%[3]d[marked];"+
			"[marked][count]overlay=x='floor(n/%[1]d)*%[2]d':y=%[4]d", markSteps, markStep, markTop, countTop),
		"-frames:v", fmt.Sprint(pictures), "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", fmt.Sprint(every), "-pix_fmt", "yuv420p",
		"-x264-params", "aud=1:scenecut=0", "-f", "h264", path)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("ffmpeg (apt install ffmpeg): %w: %s", err, out)
	}
	return nil
}

func (c *networkCamera) start() {
	c.t.Helper()
	c.process = exec.Command(serverFile(), c.arguments...)
	stdin, err := c.process.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	c.stdin = stdin
	said, err := c.process.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.process.Start(); err != nil {
		c.t.Fatal(err)
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		c.t.Fatalf("rtspserve did not say its address: %v", err)
	}
	c.address = strings.TrimSpace(line)
}

// end ends it as a power cut would.
func (c *networkCamera) end() {
	if c.process == nil {
		return
	}
	_ = c.process.Process.Kill() // it may have ended by itself
	_ = c.process.Wait()         // killed: always an error
	_ = c.stdin.Close()          // closed by Wait
	c.process = nil
}

func (c *networkCamera) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.process.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *networkCamera) settings() Settings {
	return Settings{URI: c.address, Width: clipWidth, Height: clipHeight, FPS: 30, OpenLimit: waiting.Most}
}

func (c *networkCamera) open() Source {
	c.t.Helper()
	opened, err := Open(context.Background(), c.settings())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			c.t.Error(err)
		}
	})
	return opened
}

// grabUntilItFails grabs pictures until there is none.
func grabUntilItFails(t *testing.T, from Source) error {
	t.Helper()
	pool := frame.NewPool(1)
	defer pool.Close()
	picture, _ := pool.Get()
	defer picture.Release()
	for range 1000 {
		ctx, cancel := context.WithTimeout(context.Background(), waiting.Most)
		err := from.Grab(ctx, picture)
		cancel()
		if err != nil {
			return err
		}
	}
	t.Fatal("1000 pictures came, though the camera gives none")
	return nil
}

func TestANetworkCameraConforms(t *testing.T) { conform(t, newNetworkCamera(t).settings()) }

func TestANetworkCameraOverTLSConforms(t *testing.T) {
	camera := newNetworkCamera(t, "-tls")
	if !strings.HasPrefix(camera.address, "rtsps://") {
		t.Fatalf("the camera is at %s, which is not encrypted", camera.address)
	}
	conform(t, camera.settings())
}

func TestANetworkCamerasPicturesAreThoseThatWereSent(t *testing.T) {
	patient := newNetworkCamera(t).settings()
	patient.StallLimit = waiting.Most
	opened, picture := openedWith(t, patient)
	seen, before := map[int]bool{}, -1
	for n := 0; n < 8*markSteps || len(seen) < markSteps; n++ { // not each place each time, since the newest picture wins
		if n == 100*markSteps {
			t.Fatalf("the mark was seen at %d of %d places", len(seen), markSteps)
		}
		if err := opened.Grab(context.Background(), picture); err != nil {
			t.Fatal(err)
		}
		step := markAt(t, picture, markTop)
		number := markAt(t, picture, countTop)*markSteps + step // a busy machine may skip whole rounds of the mark
		if number == before {
			t.Fatalf("picture %d shows number %d of the clip again", n, number)
		}
		seen[step], before = true, number
	}
}

// markAt finds the step of the mark whose top row is top and checks the colours inside and far from it.
func markAt(t *testing.T, picture *frame.Picture, top int) (step int) {
	t.Helper()
	pixel := func(x, y int) [3]int { // blue, green, red
		at := 3 * (y*picture.Width + x)
		return [3]int{int(picture.Pixels[at]), int(picture.Pixels[at+1]), int(picture.Pixels[at+2])}
	}
	if got := pixel(160, 20); !near(got, [3]int{0x80, 0x40, 0x20}) {
		t.Fatalf("the background is %v, want blue 128, green 64, red 32", got)
	}
	for x := range picture.Width {
		if y := top + markSize/2; pixel(x, y)[1] > 150 {
			if middle := pixel(x+markSize/2, y); !near(middle, [3]int{255, 255, 255}) {
				t.Fatalf("the mark is %v, want white", middle)
			}
			step, off := (x+4)/markStep, (x+4)%markStep-4 // its edge is blurred by up to 4 pixels
			if off > 4 {
				t.Fatalf("the mark is at %d, between two places that were sent", x)
			}
			return step
		}
	}
	t.Fatal("there is no mark")
	return 0
}

// near allows for what H.264 and its colour space lose.
func near(a, b [3]int) bool {
	for i := range a {
		if a[i] < b[i]-12 || a[i] > b[i]+12 {
			return false
		}
	}
	return true
}

// Whoever comes just after a key frame waits for the next one, here for longer than the stall limit.
func TestANetworkCameraIsWaitedForUntilItsNextKeyFrame(t *testing.T) {
	const rare = 120 // pictures: 4 s
	path := filepath.Join(t.TempDir(), "rare.h264")
	if err := drawMark(path, rare, rare); err != nil {
		t.Fatal(err)
	}
	camera := newNetworkCamera(t, "-file", path)
	time.Sleep(300 * time.Millisecond) // the first key frame is over
	if err := camera.open().Grab(t.Context(), emptyPicture(t, clipWidth, clipHeight)); err != nil {
		t.Errorf("its first picture: %v", err)
	}
}

// sparse is a network camera of so few pictures a second, each a key frame. It has the time that a camera has, not a test's.
func sparse(t *testing.T, fps float64) Settings {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.h264")
	if err := drawMark(path, markSteps*markSteps, 1); err != nil {
		t.Fatal(err)
	}
	settings := newNetworkCamera(t, "-file", path, "-fps", fmt.Sprint(fps)).settings()
	settings.FPS, settings.OpenLimit = fps, 0
	return settings
}

// What FFmpeg looks at before it opens comes slowly.
func TestANetworkCameraOfFewPicturesIsOpenedInTime(t *testing.T) {
	for _, fps := range []float64{5, 1} {
		t.Run(fmt.Sprint(fps), func(t *testing.T) {
			t.Parallel()
			opened, picture := openedWith(t, sparse(t, fps))
			if err := opened.Grab(waiting.Context(t), picture); err != nil {
				t.Error(err)
			}
		})
	}
}

// The same pictures would be given at once, as if they were taken now.
func TestPicturesThatANetworkCameraSentWhileItWasOpenedArePassedOver(t *testing.T) {
	const fps, more = 2, 8
	settings := sparse(t, fps)
	settings.OpenLimit, settings.StallLimit = waiting.Most, waiting.Most
	from, err := openNetwork(settings)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	mat := gocv.NewMat()
	defer mat.Close()
	began := time.Time{}
	for n := range 1 + more {
		if !from.Read(&mat) {
			t.Fatalf("picture %d does not come", n)
		}
		if n == 0 {
			began = time.Now()
		}
	}
	if took := time.Since(began); took < more*time.Second/fps/2 {
		t.Errorf("%d pictures took %v, and the camera %v each", more, took, time.Second/fps)
	}
}

// silentPort takes connections and never says anything, as a camera whose program hangs.
func silentPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // nobody is left to hear of it
	return listener.Addr().String()
}

func TestASilentNetworkCameraKeepsNoOtherWaiting(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error)
	silent := []string{"rtsp://" + silentPort(t) + "/", "rtsps://" + silentPort(t) + "/", "rtsp://" + silentPort(t) + "/"}
	for _, uri := range silent {
		go func() {
			_, err := Open(ctx, Settings{URI: uri, FPS: 30, OpenLimit: waiting.Most})
			ended <- err
		}()
	}
	time.Sleep(300 * time.Millisecond) // they are first
	newNetworkCamera(t).open()
	openedWith(t, Settings{URI: "file:" + clip(t), Width: clipWidth, Height: clipHeight, FPS: 30, OpenLimit: waiting.Most})
	end()
	for range silent {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a silent camera ended before the others were open: %v", err)
		}
	}
	for _, uri := range silent {
		if n := hanging.count(uri); n != 0 {
			t.Errorf("%d calls hang because of %s", n, uri)
		}
	}
}

func TestANetworkCameraThatTakesTheConnectionAndSaysNothingIsNamedSo(t *testing.T) {
	for _, scheme := range []string{"rtsp", "rtsps"} {
		_, err := Open(t.Context(), Settings{URI: scheme + "://porch:secret@" + silentPort(t) + "/", FPS: 30, OpenLimit: time.Second})
		if !errors.Is(err, errSilent) || !strings.Contains(err.Error(), "does not answer") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func TestANetworkCameraThatHangsIsStalled(t *testing.T) {
	camera := newNetworkCamera(t)
	opened := camera.open()
	camera.signal(syscall.SIGSTOP)
	defer camera.signal(syscall.SIGCONT)
	if err := grabUntilItFails(t, opened); !errors.Is(err, ErrStalled) {
		t.Fatalf("Grab returned %v, want ErrStalled", err)
	}
}

// A camera that falls silent again and again is opened again and again: each try must not leave a thread for half a minute.
func TestANetworkCameraThatHangsLeavesNoThreadForLong(t *testing.T) {
	camera := newNetworkCamera(t)
	source := camera.open()
	camera.signal(syscall.SIGSTOP)
	defer camera.signal(syscall.SIGCONT)
	if err := grabUntilItFails(t, source); !errors.Is(err, ErrStalled) {
		t.Fatal(err)
	}
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	waiting.Until(t, "its read hangs no more", func() bool { return hanging.count(camera.address) == 0 })
}

func TestOpeningANetworkCameraThatHangsEndsWithItsContext(t *testing.T) {
	camera := newNetworkCamera(t)
	camera.signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, camera.settings()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Open returned %v, want the context's end", err)
	}
}

func TestANetworkCameraThatIsGoneIsAnErrorAndOpensAgainWhenItIsBack(t *testing.T) {
	camera := newNetworkCamera(t)
	opened := camera.open()
	camera.end()
	if err := grabUntilItFails(t, opened); !errors.Is(err, ErrEnded) && !errors.Is(err, ErrStalled) {
		t.Fatalf("Grab returned %v, want the end or a stall", err)
	}
	if _, err := Open(context.Background(), camera.settings()); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Fatalf("open a camera that is gone: %v", err)
	}
	camera.start()
	conform(t, camera.settings())
}

func TestANetworkCameraTakesItsPasswordAndRefusesAnother(t *testing.T) {
	camera := newNetworkCamera(t, "-user", "porch", "-password", "secret")
	settings := camera.settings()
	for _, login := range []string{"", "porch:wrong@", "nobody:secret@"} {
		settings.URI = strings.Replace(camera.address, "rtsp://", "rtsp://"+login, 1)
		_, err := Open(context.Background(), settings)
		if err == nil || !strings.Contains(err.Error(), "user and password_file") {
			t.Errorf("login %q: %v, want a refusal that names user and password_file", login, err)
		}
		if err != nil && strings.Contains(err.Error(), "wrong") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
	settings.URI = strings.Replace(camera.address, "rtsp://", "rtsp://porch:secret@", 1)
	conform(t, settings)
}
