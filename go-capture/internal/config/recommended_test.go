// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const auto = "[detector]\nmodel = \"auto\"\n"

// recommend writes what `visavis model bench` does, as far as it is read here, and returns the environment that names its folder.
func recommend(t *testing.T, input, version, cpu string) string {
	t.Helper()
	folder := t.TempDir()
	put(t, filepath.Join(folder, recommendedFile), fmt.Sprintf(
		`{"model": "yunet-n", "precision": "fp32", "input": %s, "threads": 1, "fps": 90.1, "here": {"processor": %q, "visavis": %q}}`,
		input, cpu, version))
	return "VISAVIS_CACHE_DIR=" + folder
}

func inputOf(t *testing.T, version, text string, env ...string) [2]int {
	t.Helper()
	made, err := Program{Version: version}.Load(write(t, text), env, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made.Detector.Input
}

func TestTheModelAutoHasItsRecommendedInputWhereNobodyHasSetOne(t *testing.T) {
	here := recommend(t, "[320, 256]", "1.2.3", processor(text(cpuinfo)))
	usual, recommended, own := [2]int{640, 480}, [2]int{320, 256}, [2]int{96, 64}
	cases := map[string]struct {
		text string
		env  []string
		want [2]int
	}{
		"nothing set":         {auto, nil, recommended},
		"set in the file":     {auto + "input = [96, 64]\n", nil, own},
		"set to the default":  {auto + "input = [640, 480]\n", nil, usual},
		"set outside":         {auto, []string{"VISAVIS_DETECTOR__INPUT=[96, 64]"}, own},
		"another model":       {"", nil, usual},
		"auto from outside":   {"", []string{"VISAVIS_DETECTOR__MODEL=auto"}, recommended},
		"a model server's":    {auto + "backend = \"kserve\"\nkserve_url = \"grpc://a:1\"\n", nil, usual},
		"threads alone set":   {auto + "threads = 2\n", nil, recommended},
		"a folder without it": {auto, []string{"VISAVIS_CACHE_DIR=" + t.TempDir()}, usual},
	}
	for name, c := range cases {
		if got := inputOf(t, "1.2.3", c.text, append(c.env, here)...); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestARecommendationOfElsewhereOrThatMakesNoSenseDoesNotCount(t *testing.T) {
	cpu := processor(text(cpuinfo))
	for name, folder := range map[string]string{
		"of another release":   recommend(t, "[320, 256]", "1.2.4", cpu),
		"of another processor": recommend(t, "[320, 256]", "1.2.3", cpu+"x"),
		"too large":            recommend(t, "[320, 1952]", "1.2.3", cpu),
		"too small":            recommend(t, "[0, 0]", "1.2.3", cpu),
		"three sides":          recommend(t, "[320, 256, 32]", "1.2.3", cpu),
		"no numbers":           recommend(t, `"large"`, "1.2.3", cpu),
		"cut off":              recommend(t, "[320", "1.2.3", cpu),
		"endless":              recommend(t, strings.Repeat(" ", recommendedBytes)+"[320, 256]", "1.2.3", cpu),
	} {
		if got := inputOf(t, "1.2.3", auto, folder); got != [2]int{640, 480} {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := inputOf(t, "", auto, recommend(t, "[320, 256]", "", cpu)); got != [2]int{640, 480} {
		t.Errorf("who has no release takes %v", got)
	}
}

// The same texts as in tests/unit/test_quantize.py.
func TestTheProcessorIsKnownByItsFirstBlock(t *testing.T) {
	for _, c := range []struct{ told, want string }{
		{"processor : 0\nmodel name\t: Xeon\nflags\t\t: fpu avx512_vnni\n\nprocessor : 1\nmodel name : other\n", " Xeon"},
		{"processor : 0\nFeatures : fp asimd asimddp\nCPU implementer : 0x41\nCPU part : 0xd0b\n", " 0x41 0xd0b"},
		{"", ""},
	} {
		if got := processor(c.told); got != machine()+c.want || machine() == "" {
			t.Errorf("%q of %q", got, c.told)
		}
	}
}

func TestTheFolderIsThatOfTheWorkers(t *testing.T) {
	if got := cacheFolder([]string{"VISAVIS_CACHE_DIR=/a", "XDG_CACHE_HOME=/b", "HOME=/c"}); got != "/a" {
		t.Error(got)
	}
	if _, err := os.Stat(systemCache); err == nil {
		t.Skip("this machine has the system's folder")
	}
	if got := cacheFolder([]string{"XDG_CACHE_HOME=/b", "HOME=/c"}); got != "/b/visavis" {
		t.Error(got)
	}
	if got := cacheFolder([]string{"HOME=/c"}); got != "/c/.cache/visavis" {
		t.Error(got)
	}
}
