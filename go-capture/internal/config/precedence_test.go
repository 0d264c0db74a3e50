// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestFlagBeatsEnvironmentBeatsConfDBeatsFileBeatsDefault(t *testing.T) {
	path := write(t, "[mqtt]\nprefix = \"file\"\n")
	confD := filepath.Join(filepath.Dir(path), "conf.d")
	steps := []struct {
		name, want string
		env        []string
		flags      map[string]string
		before     func()
	}{
		{name: "file", want: "file", before: func() {}},
		{name: "conf.d", want: "second", before: func() {
			put(t, filepath.Join(confD, "20.toml"), "[mqtt]\nprefix = \"second\"\n")
			put(t, filepath.Join(confD, "10.toml"), "[mqtt]\nprefix = \"first\"\n")
			put(t, filepath.Join(confD, "30.toml.bak"), "not read")
		}},
		{name: "environment", want: "environment", env: []string{"VISAVIS_MQTT__PREFIX=environment"}, before: func() {}},
		{name: "flag", want: "flag", env: []string{"VISAVIS_MQTT__PREFIX=environment"}, flags: map[string]string{"mqtt.prefix": "flag"}, before: func() {}},
	}
	if got := load(t, "").MQTT.Prefix; got != "visavis" {
		t.Errorf("default: %s", got)
	}
	for _, step := range steps {
		step.before()
		made, err := Load(path, step.env, step.flags)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if made.MQTT.Prefix != step.want {
			t.Errorf("%s: got %s, want %s", step.name, made.MQTT.Prefix, step.want)
		}
	}
}

func TestConfDLeavesTheOtherKeysOfASection(t *testing.T) {
	path := write(t, "[mqtt]\nprefix = \"file\"\nuser = \"porch\"\n")
	put(t, filepath.Join(filepath.Dir(path), "conf.d", "10.toml"), "[mqtt]\nprefix = \"more\"\n")
	if made := load(t, path); made.MQTT.Prefix != "more" || made.MQTT.User != "porch" {
		t.Errorf("%+v", made.MQTT)
	}
}

func TestConfDAddsCamerasAndItsProblemsNameItsOwnFile(t *testing.T) {
	path := write(t, "[[camera]]\nid = \"a\"\nsource = \"demo:\"\n")
	more := filepath.Join(filepath.Dir(path), "conf.d", "b.toml")
	put(t, more, "[[camera]]\nid = \"b\"\nsource = \"push:\"\n")
	if made := load(t, path); len(made.Cameras) != 2 || made.Cameras[1].ID != "b" {
		t.Errorf("cameras: %+v", made.Cameras)
	}
	put(t, more, "[[camera]]\nid = \"a\"\nsource = \"push:\"\n")
	if got := refused(t, path).Error(); !strings.HasPrefix(got, more+":2: camera[1].id: ") {
		t.Error(got)
	}
}

func TestTheEnvironmentSetsEveryKindOfValue(t *testing.T) {
	made := load(t, "",
		"VISAVIS_DETECTOR__INPUT=[320, 240]", "VISAVIS_DETECTOR__SCORE=0.7", "VISAVIS_WORKER__LEASE_MS=500", "VISAVIS_MQTT__URL=",
		`VISAVIS_WEB__HOSTS=["a.example.org"]`, "VISAVIS_CAMERA__0__SOURCE=v4l2:/dev/video0", "VISAVIS_CAMERA__0__SNAPSHOTS=true",
		"VISAVIS_CAMERA__1__ID=second", "VISAVIS_CAMERA__1__SOURCE=push:",
		`VISAVIS_CAMERA__1__ZONES=[{name = "step", polygon = [[0, 0], [1, 0], [1, 1]]}]`,
		"VISAVIS_CACHE_DIR=/tmp", "VISAVIS_HTTP_PORT=80", "PATH=/bin")
	if made.Detector.Input != [2]int{320, 240} || made.Detector.Score != 0.7 || made.Worker.LeaseMs != 500 || made.MQTT.URL != "" {
		t.Errorf("got %+v", made)
	}
	if len(made.Web.Hosts) != 1 || len(made.Cameras) != 2 || !made.Cameras[0].Snapshots || made.Cameras[0].Source != "v4l2:/dev/video0" {
		t.Errorf("got %+v", made)
	}
	if second := made.Cameras[1]; second.ID != "second" || len(second.Zones) != 1 || len(second.Zones[0].Polygon) != 3 {
		t.Errorf("got %+v", second)
	}
}

func TestTheEnvironmentMayHaveMoreThanTenCameras(t *testing.T) {
	const count = 13
	var env []string
	for i := range count {
		at := fmt.Sprintf("VISAVIS_CAMERA__%d__", i)
		env = append(env, fmt.Sprintf("%sID=cam%d", at, i), at+"SOURCE=push:")
	}
	made := load(t, write(t, "camera = []\n"), env...)
	if len(made.Cameras) != count {
		t.Fatalf("%d cameras, want %d", len(made.Cameras), count)
	}
	for i, camera := range made.Cameras {
		if want := fmt.Sprintf("cam%d", i); camera.ID != want {
			t.Errorf("camera %d is %s, want %s", i, camera.ID, want)
		}
	}
}

func TestAProblemOfTheEnvironmentNamesTheVariable(t *testing.T) {
	path := write(t, "[detector]\nworkers = 2\n")
	for variable, want := range map[string]string{
		"VISAVIS_DETECTOR__WORKERS=many":                     `detector.workers: "many" is not a whole number`,
		"VISAVIS_DETECTOR__WORKERS=99":                       "detector.workers: 99 is outside",
		"VISAVIS_WEB__LISTEN=":                               `web.listen: is empty; write for example "127.0.0.1:8080", or leave it out`,
		"VISAVIS_DETECTOR__SPEED=9":                          "detector.speed: unknown key",
		"VISAVIS_NOWHERE__SPEED=9":                           "nowhere.speed: no such setting",
		"VISAVIS_CAMERA__7__ID=far":                          "camera.7.id: no camera has the index 7",
		"VISAVIS_WEB__LISTEN=127.0.0.1:00":                   `web.listen: the port "00" begins with a zero`,
		"VISAVIS_CAMERA__-1__ID=near":                        "camera.-1.id: no camera has the index -1",
		"VISAVIS_DETECTOR__WORKERS=2\nx = 1":                 `detector.workers: "2\nx = 1" is not a whole number`,
		"VISAVIS_MQTT__USER=por\x7fch":                       `mqtt.user: "por\x7fch" holds control characters`,
		"VISAVIS_DETECTOR__KSERVE_URL=http://triton#hunter2": "detector.kserve_url: the address of a model server has no ? or #",
		"VISAVIS_CAMERA__0__SOURCE=exec:reboot":              "camera[0].source: no such kind of camera",
		"VISAVIS_WEB__LISTEN=192.0.2.1:80":                   `web.listen: "192.0.2.1:80" lets other machines in without a login`,
	} {
		name, _, _ := strings.Cut(variable, "=")
		if got := refused(t, path, variable).Error(); !strings.HasPrefix(got, "environment "+name+": "+want) {
			t.Errorf("%s: %s", variable, got)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("[web]\nlisten = \"127.0.0.1:80\"\n"), "VISAVIS_CAMERA__0__SIZE=[1,2]")
	f.Add([]byte("[[camera]]\nid=1\nzones=[{polygon=[[0,0],[1,\"a\"],{}]}]\n[camera.zones]\n"), "VISAVIS_MQTT__URL=mqtt://[::1")
	f.Add([]byte("\"a.b\".c = [[1, [2]], {d.e = 1}]\n[[\"\"]]\n"), "VISAVIS___=")
	f.Fuzz(func(t *testing.T, text []byte, variable string) {
		made, err := Load(write(t, string(text)), []string{variable}, nil)
		if err != nil {
			return
		}
		if _, err := made.JSON(); err != nil {
			t.Errorf("accepted but not printable: %v", err)
		}
	})
}
