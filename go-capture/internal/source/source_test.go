// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"visavis/capture/internal/demo"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/waiting"
)

// shared is a folder for what tests share.
var shared string

// No source leaves a goroutine behind.
func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "source-test-")
	if err := errors.Join(err, TellOpenCV()); err != nil {
		panic(err)
	}
	shared = folder
	waiting.ForGoroutines(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(shared) // in the folder of temporary files
		os.Exit(code)
	}))
}

// demoPictures points the demo source at the pictures inside the gocv module.
func demoPictures(t *testing.T) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gocv.io/x/gocv").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(demoDirEnvironment, filepath.Join(strings.TrimSpace(string(dir)), "images"))
}

// clip writes a short video with ffmpeg, which knows nothing of ours.
func clip(t *testing.T) string {
	t.Helper()
	return encoded(t, "clip.avi", "mjpeg")
}

// encoded writes it by another codec, into the container that the name says.
func encoded(t *testing.T, name, codec string, more ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	arguments := []string{"-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=30", "-frames:v", "12", "-c:v", codec}
	command := exec.Command("ffmpeg", append(append(arguments, more...), path)...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg (apt install ffmpeg): %v: %s", err, out)
	}
	return path
}

// The conformance suite: what every source that can be opened here must do.
func TestEverySourceGivesNewPicturesInOrderAndClosesTwice(t *testing.T) {
	demoPictures(t)
	pushed, url := openGateway(t)
	pushing(t, url, func(n int) []byte { return shaded(t, 320, 240, n) })
	cases := map[string]Settings{
		"demo": {URI: "demo:", Width: 320, Height: 240, FPS: 200},
		"file": {URI: "file:" + clip(t), Width: 320, Height: 240, FPS: 200},
		"push": pushed,
	}
	for name, settings := range cases {
		t.Run(name, func(t *testing.T) { conform(t, settings) })
	}
}

func conform(t *testing.T, settings Settings) {
	settings.StallLimit, settings.OpenLimit = waiting.Most, waiting.Most
	opened, err := Open(context.Background(), settings)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	pool := frame.NewPool(2)
	defer pool.Close()
	before, beforeNs := "", int64(0)
	for n := range 30 { // more than the clip holds: it must begin again
		picture, _ := pool.Get()
		if err := opened.Grab(context.Background(), picture); err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
		if picture.Width != settings.Width || picture.Height != settings.Height {
			t.Fatalf("picture %d is %dx%d, want %dx%d", n, picture.Width, picture.Height, settings.Width, settings.Height)
		}
		if picture.CapturedNs <= beforeNs {
			t.Fatalf("picture %d was captured at %d, not after %d", n, picture.CapturedNs, beforeNs)
		}
		if now := string(picture.Pixels); now == before {
			t.Fatalf("picture %d is the one before it", n)
		} else {
			before, beforeNs = now, picture.CapturedNs
		}
		picture.Release()
	}
	if err := errors.Join(opened.Close(), opened.Close()); err != nil {
		t.Fatal(err)
	}
}

// openedDemo returns the demo and a picture to grab into; both end with the test.
func openedDemo(t *testing.T, settings Settings) (Source, *frame.Picture) {
	t.Helper()
	demoPictures(t)
	opened, err := Open(context.Background(), settings)
	if err != nil {
		t.Fatal(err)
	}
	pool := frame.NewPool(1)
	t.Cleanup(func() {
		pool.Close()
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	picture, _ := pool.Get()
	return opened, picture
}

func TestTheDemoDrawsAFaceWhereTheScriptSays(t *testing.T) {
	opened, picture := openedDemo(t, Settings{URI: "demo:", Width: 640, Height: 480, FPS: 1000})
	empty, face := 0, 0
	for range 60 {
		if err := opened.Grab(context.Background(), picture); err != nil {
			t.Fatal(err)
		}
		crop, shown := demo.Actors[0].Place(int(picture.DriverSeq)-1, 640, 480)
		middle := 3 * ((int(crop.Y+crop.H/2))*640 + int(crop.X+crop.W/2))
		skin := picture.Pixels[middle+2] > picture.Pixels[middle] // red above blue: skin, not the background
		if shown && skin {
			face++
		}
		if !shown && !skin {
			empty++
		}
	}
	if empty != 30 || face != 30 {
		t.Fatalf("%d frames without and %d with a face in its place, want 30 and 30", empty, face)
	}
}

// Of the narrow one the crops are wider than the picture.
func TestTheDemoIsDrawnInUprightSizes(t *testing.T) {
	for _, size := range [][2]int{{480, 640}, {48, 640}} {
		opened, picture := openedDemo(t, Settings{URI: "demo:", Width: size[0], Height: size[1], FPS: 10_000})
		for n := range 250 { // both faces are shown
			if err := opened.Grab(t.Context(), picture); err != nil {
				t.Fatalf("picture %d of %v: %v", n, size, err)
			}
		}
	}
}

func TestAnEndedContextEndsTheWaitForAPicture(t *testing.T) {
	opened, picture := openedDemo(t, Settings{URI: "demo:", Width: 320, Height: 240, FPS: 0.01})
	if err := opened.Grab(context.Background(), picture); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := opened.Grab(ctx, picture); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Grab returned %v, want the context's end", err)
	}
}

func TestASlowCameraMayBeSilentForLonger(t *testing.T) {
	for fps, want := range map[float64]time.Duration{30: 1200 * time.Millisecond, 0: 1200 * time.Millisecond, 1: 3 * time.Second, 0.5: 6 * time.Second} {
		if got := StallLimit(fps); got != want {
			t.Errorf("%v fps: %v, want %v", fps, got, want)
		}
	}
}

func TestAPaceKeepsItsRhythmAndDropsTheRest(t *testing.T) {
	const ms = int64(time.Millisecond)
	slow := newPace(10)
	var passed []int64
	for _, at := range []int64{0, 33, 66, 99, 133, 166, 199, 233, 900, 933, 966} {
		if slow.due(1000*ms + at*ms) {
			slow.took(1000*ms + at*ms)
			passed = append(passed, at)
		}
	}
	if !slices.Equal(passed, []int64{0, 66, 166, 900, 966}) {
		t.Errorf("passed at %v ms", passed)
	}
}

func TestASourceGivesNoMorePicturesThanAreWanted(t *testing.T) {
	opened, picture := openedDemo(t, Settings{URI: "demo:", Width: 320, Height: 240, FPS: 400, MostFPS: 40})
	const least = time.Second / 40 / 2 // one after a late one may come so soon
	var last int64
	for n := range 10 {
		if err := opened.Grab(context.Background(), picture); err != nil {
			t.Fatal(err)
		}
		if after := time.Duration(picture.CapturedNs - last); after < least {
			t.Errorf("picture %d comes %v after the one before", n, after)
		}
		last = picture.CapturedNs
	}
}

func TestWhatCannotBeOpenedSaysWhatAndWhatToDo(t *testing.T) {
	corrupt := filepath.Join(t.TempDir(), "corrupt.mp4")
	if err := os.WriteFile(corrupt, []byte(strings.Repeat("no video ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	for uri, words := range map[string]string{
		"v4l2:/dev/video97": "plug the camera in", "file:/no/such.mp4": "/no/such.mp4: no such file or directory: name a video that exists", "file:" + corrupt: "is not a video that OpenCV can read",
		"push:": "need the gateway", "exec:rm": "not one of", "csi:0;rm": "not a number",
	} {
		_, err := Open(context.Background(), Settings{URI: uri, Width: 320, Height: 240, FPS: 30, OpenLimit: waiting.Most})
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("open %s: %v, want %q in it", uri, err, words)
		}
	}
}

func TestCSIPipelinesAreWrittenFromNumbers(t *testing.T) {
	settings := Settings{Width: 1280, Height: 720, FPS: 29.97, CSIDriver: "libcamera"}
	got, err := csiPipeline(settings, "0")
	want := "libcamerasrc ! video/x-raw,width=1280,height=720,framerate=2997/100 ! " +
		"videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
	if err != nil || got != want {
		t.Fatalf("%q, %v\nwant %q", got, err, want)
	}
	settings.CSIDriver = "argus"
	if got, err = csiPipeline(settings, "1"); err != nil || !strings.HasPrefix(got, "nvarguscamerasrc sensor-id=1 ! ") {
		t.Fatalf("%q, %v", got, err)
	}
}

// parse lets the real GStreamer look at a pipeline; a Jetson's two elements are stand-ins.
func parse(pipeline string) (string, error) {
	out, err := exec.Command("/usr/bin/python3", "testdata/parse_pipeline.py", pipeline).CombinedOutput()
	return string(out), err
}

func TestGStreamerTakesThePipelinesOfCSICameras(t *testing.T) {
	for _, driver := range []string{"libcamera", "argus"} {
		pipeline, err := csiPipeline(Settings{Width: 1280, Height: 720, FPS: 29.97, CSIDriver: driver}, "0")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := parse(pipeline); err != nil {
			t.Errorf("%s: %v: %s (apt install python3-gst-1.0 gstreamer1.0-libcamera gstreamer1.0-plugins-base)", pipeline, err, out)
		}
	}
	name, err := cameraName(sysfs(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := parse("libcamerasrc" + name + " ! fakesink"); err != nil {
		t.Errorf("%s: %v: %s", name, err, out)
	}
	if out, err := parse("libcamerasrc camera-number=0 ! fakesink"); err == nil || !strings.Contains(out, "camera-number") {
		t.Errorf("a property that does not exist: %v: %s", err, out)
	}
}

// sysfs is a Raspberry Pi's tree: two sensors, the motor of one's lens, and a receiver that is no sensor.
func sysfs(t *testing.T) string {
	t.Helper()
	sys := t.TempDir()
	nodes := map[string]string{
		"v4l-subdev0": "soc/i2c0mux/i2c@1/imx708@1a/port", "v4l-subdev1": "soc/i2c0mux/i2c@1/dw9817@c",
		"v4l-subdev2": "soc/i2c0mux/i2c@0/imx219@10/port", "v4l-subdev3": "soc/csi@7e801000/port",
		"v4l-subdev4": "soc/i2c0mux/i2c@1/bad!name@10/port",
	}
	for subdevice, node := range nodes {
		tree := filepath.Join(sys, "firmware/devicetree/base", node)
		device := filepath.Join(sys, "class/video4linux", subdevice, "device")
		made := errors.Join(os.MkdirAll(tree, 0o750), os.MkdirAll(device, 0o750))
		if err := errors.Join(made, os.Symlink(strings.TrimSuffix(tree, "/port"), filepath.Join(device, "of_node"))); err != nil {
			t.Fatal(err)
		}
	}
	return sys
}

func TestASensorIsNamedAsLibcameraNamesIt(t *testing.T) {
	sys := sysfs(t)
	for number, want := range []string{` camera-name="/base/soc/i2c0mux/i2c@0/imx219@10"`, ` camera-name="/base/soc/i2c0mux/i2c@1/imx708@1a"`} {
		if got, err := cameraName(sys, number); err != nil || got != want {
			t.Errorf("csi:%d: %q, %v, want %q", number, got, err, want)
		}
	}
	if _, err := cameraName(sys, 2); err == nil || !strings.Contains(err.Error(), "csi:2 does not exist") {
		t.Errorf("csi:2: %v", err)
	}
	if got, err := cameraName(t.TempDir(), 0); err != nil || got != "" {
		t.Errorf("without a device tree: %q, %v", got, err)
	}
}
