// SPDX-License-Identifier: Apache-2.0

package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// standInsEnv is set in the process that reads from the stand-ins: GStreamer looks for its elements once.
const standInsEnv = "VISAVIS_TEST_CSI_STANDINS"

// The elements that need hardware are stand-ins; the rest is OpenCV's GStreamer and the pipelines as they are used.
func TestACSICameraConforms(t *testing.T) {
	if os.Getenv(standInsEnv) == "" {
		runWithStandIns(t)
		return
	}
	for _, driver := range []string{"libcamera", "argus"} {
		t.Run(driver, func(t *testing.T) {
			conform(t, Settings{URI: "csi:0", Width: 320, Height: 240, FPS: 30, CSIDriver: driver})
		})
	}
}

func runWithStandIns(t *testing.T) {
	t.Helper()
	folder := pluginFolder(t)
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), standInsEnv+"=1", "GST_PLUGIN_SYSTEM_PATH_1_0="+folder, "GST_REGISTRY_1_0="+filepath.Join(folder, "registry"))
	out, err := again.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS: "+t.Name()+"/") != 2 {
		t.Fatalf("%v: %s", err, out)
	}
}

// pluginFolder holds the stand-ins and the few real plugins beside them, so that no real camera element is found.
func pluginFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, plugin := range []string{"app", "coreelements", "videoconvert*", "videotestsrc"} {
		found, err := filepath.Glob(filepath.Join(pkgConfig(t, "--variable=pluginsdir")[0], "libgst"+plugin+".so"))
		if err != nil || len(found) != 1 {
			t.Fatalf("GStreamer's plugin %s: found %v, %v (apt install gstreamer1.0-plugins-base)", plugin, found, err)
		}
		if err := os.Symlink(found[0], filepath.Join(folder, filepath.Base(found[0]))); err != nil {
			t.Fatal(err)
		}
	}
	flags := pkgConfig(t, "--cflags", "--libs", "gstreamer-base-1.0")
	build := append([]string{"-shared", "-fPIC", "-o", filepath.Join(folder, "libgststandins.so"), "testdata/csi_standins.c"}, flags...)
	if out, err := exec.Command("gcc", build...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v: %s", err, out)
	}
	return folder
}

func pkgConfig(t *testing.T, words ...string) []string {
	t.Helper()
	out, err := exec.Command("pkg-config", append(words, "gstreamer-1.0")...).Output()
	if err != nil {
		t.Fatalf("pkg-config (apt install libgstreamer1.0-dev): %v", err)
	}
	return strings.Fields(string(out))
}
