// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../../.."

// write makes a configuration file and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	put(t, path, text)
	return path
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, path string, env ...string) *Config {
	t.Helper()
	made, err := Load(path, env, nil)
	if err != nil {
		t.Fatalf("load %s: %v", path, err)
	}
	return made
}

func loadForWorker(path string, env []string) (*Config, error) {
	return Program{ForWorker: true}.Load(path, env, nil)
}

func refused(t *testing.T, path string, env ...string) Problems {
	t.Helper()
	_, err := Load(path, env, nil)
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("%s was not refused: %v", path, err)
	}
	return problems
}

type expectation struct {
	line        int
	key, reason string
}

var (
	expected       = regexp.MustCompile(`# expect (\S*): (.+)$`)
	expectedAtLine = regexp.MustCompile(`# expect-line (\d+) (\S*): (.+)$`)
)

// expectations are what the comments of a broken file say: the key and part of the reason, at the line of the comment.
func expectations(text string) []expectation {
	var found []expectation
	for i, line := range strings.Split(text, "\n") {
		if at := expectedAtLine.FindStringSubmatch(line); at != nil {
			number, _ := strconv.Atoi(at[1]) // the pattern holds digits alone
			found = append(found, expectation{number, at[2], at[3]})
		} else if here := expected.FindStringSubmatch(line); here != nil {
			found = append(found, expectation{i + 1, here[1], here[2]})
		}
	}
	return found
}

func TestEachBrokenFileIsRefusedWithFileLineKeyReasonAndRemedy(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "contracts/config-broken/*.toml"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d broken files, want at least 20 (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			problems, want := refused(t, file), expectations(string(text))
			if len(problems) != len(want) || len(want) == 0 {
				t.Fatalf("want %d problems, got\n%v", len(want), problems)
			}
			for i, p := range problems {
				if p.File != file || p.Line != want[i].line || p.Key != want[i].key || !strings.Contains(p.Reason, want[i].reason) {
					t.Errorf("want %v, got %v", want[i], p)
				}
				if p.Remedy == "" {
					t.Errorf("no remedy in %v", p)
				}
			}
		})
	}
}

func TestAProblemReadsAsFileLineKeyReasonRemedy(t *testing.T) {
	path := write(t, "[detector]\nworkers = 99\n")
	want := path + ":2: detector.workers: 99 is outside 1 to 16; choose a value in that range"
	if got := refused(t, path).Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAPasswordInAnAddressIsNotShownInTheRefusal(t *testing.T) {
	for _, name := range []string{"password-in-source", "broker-password-in-address"} {
		problems := refused(t, filepath.Join(root, "contracts/config-broken", name+".toml"))
		if strings.Contains(problems.Error(), "hunter2") {
			t.Errorf("%s shows the password: %v", name, problems)
		}
	}
}

func TestWhatAnEditorOfWindowsSavesAsUTF8IsRead(t *testing.T) {
	if made := load(t, write(t, "\ufeff[device]\r\nid = \"porch\"\r\n")); made.Device.ID != "porch" {
		t.Errorf("device.id = %q", made.Device.ID)
	}
}

func TestAFileInAnotherEncodingIsRefusedByItsLine(t *testing.T) {
	for text, line := range map[string]string{"[device]\nid = \"k\xfcche\"\n": ":2", "\xff\xfe[\x00d\x00": ":1"} {
		path := write(t, text)
		if got, want := refused(t, path).Error(), path+line+": not UTF-8; save it as UTF-8"; !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestQuotesOfATextAreNamed(t *testing.T) {
	for _, quoted := range []string{"“127.0.0.1:80”", "„127.0.0.1:80“", "‘127.0.0.1:80’"} {
		path := write(t, "# “fine” here\n[web]\nlisten = "+quoted+"\n")
		if got := refused(t, path).Error(); !strings.HasPrefix(got, path+":3: not TOML: it has typographic quotes") || !strings.Contains(got, "straight") {
			t.Error(got)
		}
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nowhere.toml")
	if got := refused(t, path).Error(); !strings.HasPrefix(got, path+": cannot be read: no such file") {
		t.Error(got)
	}
}

func TestOnlyAFailureOfTheSystemMayPass(t *testing.T) {
	for path, may := range map[string]bool{"/proc/self/mem": true, "/nonexistent.toml": false} { // the kernel's own "input/output error"
		if problems := refused(t, path); problems.MayPass() != may {
			t.Errorf("%s: %v", path, problems)
		}
	}
}

func TestADeviceMayHaveNoCamera(t *testing.T) {
	if made := load(t, write(t, "camera = []\n")); len(made.Cameras) != 0 {
		t.Errorf("cameras: %+v", made.Cameras)
	}
}

func TestWithoutAFileTheDemoPlaysOnLoopback(t *testing.T) {
	made := load(t, "")
	if len(made.Cameras) != 1 || made.Cameras[0].Source != "demo:" || made.Cameras[0].ID != "demo" {
		t.Errorf("cameras: %+v", made.Cameras)
	}
	if made.Web.Listen != "127.0.0.1:8080" || made.Detector.Input != [2]int{640, 480} || made.Cameras[0].Privacy != "pixelate" {
		t.Errorf("defaults: %+v", made)
	}
	if !regexp.MustCompile(`^[a-z0-9_-]{1,32}$`).MatchString(made.Device.ID) {
		t.Errorf("device.id = %q", made.Device.ID)
	}
}

// What the package and images install: the demo must go with the first camera that somebody names, wherever that stands.
func TestTheDemoOfTheInstalledConfigurationPlaysUntilACameraIsNamed(t *testing.T) {
	installed, err := os.ReadFile(filepath.Join(root, "deb/config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, string(installed))
	alone := load(t, path)
	if len(alone.Cameras) != 1 || alone.Cameras[0].Source != "demo:" || alone.Cameras[0].Size != [2]int{640, 480} {
		t.Errorf("alone: %+v", alone.Cameras)
	}
	put(t, filepath.Join(filepath.Dir(path), "conf.d", "50-door.toml"), "[[camera]]\nid = \"door\"\nsource = \"push:\"\n")
	named := load(t, path)
	if len(named.Cameras) != 1 || named.Cameras[0].ID != "door" || named.Cameras[0].Size != [2]int{1280, 720} {
		t.Errorf("with a camera in conf.d: %+v", named.Cameras)
	}
}

func TestACameraOfTheEnvironmentHasNothingOfTheDemo(t *testing.T) {
	for source, want := range map[string][2]int{"push:": {1280, 720}, "demo:": {640, 480}} {
		made := load(t, "", "VISAVIS_CAMERA__0__ID=door", "VISAVIS_CAMERA__0__SOURCE="+source)
		if len(made.Cameras) != 1 || made.Cameras[0].ID != "door" || made.Cameras[0].Size != want {
			t.Errorf("%s: %+v", source, made.Cameras)
		}
	}
	made := load(t, "", "VISAVIS_CAMERA__0__SIZE=[320, 240]", "VISAVIS_CAMERA__0__SOURCE=push:")
	if made.Cameras[0].Size != [2]int{320, 240} {
		t.Errorf("its own size is forgotten: %+v", made.Cameras)
	}
}

func TestWhatAnEditorHasOpenIsNoSetting(t *testing.T) {
	path := write(t, "")
	put(t, filepath.Join(filepath.Dir(path), "conf.d", "10-a.toml"), "[device]\nid = \"porch\"\n")
	put(t, filepath.Join(filepath.Dir(path), "conf.d", ".10-a.toml"), "nonsense")
	if err := os.Symlink("me@host.1", filepath.Join(filepath.Dir(path), "conf.d", ".#10-a.toml")); err != nil {
		t.Fatal(err)
	}
	if made := load(t, path); made.Device.ID != "porch" {
		t.Errorf("%+v", made.Device)
	}
}

// Of two keys that do not go together, the one that somebody wrote is blamed, where they wrote it.
func TestWhatWasWrittenIsBlamedAndNoDefault(t *testing.T) {
	path := write(t, "[thermal]\nthrottle_at_c = 60\n")
	if got := refused(t, path).Error(); !strings.HasPrefix(got, path+":2: thermal.throttle_at_c: ") {
		t.Error(got)
	}
	path = write(t, "[thermal]\nresume_at_c = 90\n")
	if got := refused(t, path).Error(); !strings.HasPrefix(got, path+":2: thermal.resume_at_c: ") {
		t.Error(got)
	}
	path = write(t, "[detector]\nbackend = \"kserve\"\nkserve_url = \"http://127.0.0.1:1\"\n[worker]\nlease_ms = 100\n")
	if got := refused(t, path).Error(); !strings.HasPrefix(got, path+":5: worker.lease_ms: ") {
		t.Error(got)
	}
	path = write(t, "")
	if _, err := Load(path, []string{"VISAVIS_THERMAL__THROTTLE_AT_C=60"}, nil); err == nil || !strings.Contains(err.Error(), "VISAVIS_THERMAL__THROTTLE_AT_C") {
		t.Error(err)
	}
}

func TestTheSampleOfTheDocumentationLoads(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/reference/config.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, sample, _ := strings.Cut(string(page), "```toml\n")
	sample, _, found := strings.Cut(sample, "```")
	if !found {
		t.Fatal("the page holds no sample")
	}
	made := load(t, write(t, sample))
	if made.Device.ID != "porch" || len(made.Cameras) != 1 || len(made.Cameras[0].Zones) != 1 {
		t.Errorf("got %+v", made)
	}
}

func TestAHostNameBecomesASafeDeviceName(t *testing.T) {
	for name, want := range map[string]string{
		"Porch.example.org": "porch", "küche": "k-che", "": "visavis", "###": "visavis", strings.Repeat("a", 40): strings.Repeat("a", 32),
	} {
		if got := hostName(name, nil); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

func TestRelativePathsAreSeenFromTheFile(t *testing.T) {
	path := write(t, "[[camera]]\nid = \"clip\"\nsource = \"file:clip.mp4\"\n")
	if got, want := load(t, path).Cameras[0].Source, "file:"+filepath.Join(filepath.Dir(path), "clip.mp4"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestACameraPasswordIsReadWhenTheAddressIsAskedForAndNotPrinted(t *testing.T) {
	path := write(t, "[[camera]]\nid = \"door\"\nsource = \"rtsp://192.0.2.7/s\"\nuser = \"me\"\npassword_file = \"secret\"\n")
	put(t, filepath.Join(filepath.Dir(path), "secret"), "p@ss/word\r\n") // from an editor of Windows
	made := load(t, path)
	address, err := made.Cameras[0].Address()
	if err != nil || address != "rtsp://me:p%40ss%2Fword@192.0.2.7/s" {
		t.Errorf("got %s, %v", address, err)
	}
	text, err := made.JSON()
	if err != nil || strings.Contains(string(text), "p@ss") {
		t.Errorf("printed %s, %v", text, err)
	}
	if address, err := (Camera{Source: "rtsp://192.0.2.7/s", User: "me"}).Address(); err != nil || address != "rtsp://me@192.0.2.7/s" {
		t.Errorf("without a password %s, %v", address, err)
	}
}

// FFmpeg takes [fe80::1%25eth0] for the interface 25eth0.
func TestTheZoneOfALinkLocalCameraIsWrittenAsItsOpenerTakesIt(t *testing.T) {
	for source, want := range map[string]string{
		"rtsp://[fe80::1%25eth0]/s%2520":                   "rtsp://me:p%40s%5B%2525@[fe80::1%eth0]/s%2520",
		"rtsps://[fe80::1%25eth0.25]:322/{user}{password}": "rtsps://[fe80::1%eth0.25]:322/mep%40s%5B%2525",
		"rtsp://[2001:db8::25]/%25":                        "rtsp://me:p%40s%5B%2525@[2001:db8::25]/%25",
	} {
		path := write(t, "[[camera]]\nid = \"door\"\nsource = \""+source+"\"\nuser = \"me\"\npassword_file = \"secret\"\n")
		put(t, filepath.Join(filepath.Dir(path), "secret"), "p@s[%25\n")
		if address, err := load(t, path).Cameras[0].Address(); err != nil || address != want {
			t.Errorf("%s is opened as %s, %v", source, address, err)
		}
	}
	open := Camera{Source: "rtsp://[fe80::1%25eth0]:8554/s"}
	if address, err := open.Address(); err != nil || address != "rtsp://[fe80::1%eth0]:8554/s" {
		t.Errorf("without a login it is opened as %s, %v", address, err)
	}
}

// FFmpeg looks up nothing else.
func TestACamerasNameInOtherLettersIsOpenedInASCII(t *testing.T) {
	for _, c := range []struct{ source, user, want string }{
		{"rtsp://küche.test:8554/tür", "", "rtsp://xn--kche-0ra.test:8554/tür"},
		{"rtsp://k%C3%BCche.test/s", "me", "rtsp://me@xn--kche-0ra.test/s"},
		{"rtsps://küche.test?u={user}", "me", "rtsps://xn--kche-0ra.test?u=me"},
		{"rtsp://my_camera/s@küche", "", "rtsp://my_camera/s@küche"},
	} {
		camera := Camera{Source: c.source, User: c.user}
		if got, err := camera.Address(); err != nil || got != c.want {
			t.Errorf("%s is opened as %s, %v; want %s", c.source, got, err, c.want)
		}
	}
}

func TestAHostThatIsNoNameIsRefused(t *testing.T) {
	for _, key := range []string{"VISAVIS_MQTT__URL=mqtt://", "VISAVIS_CAMERA__0__SOURCE=rtsp://"} {
		if _, err := Load("", []string{key + "kü\u2028che/"}, nil); err == nil || !strings.Contains(err.Error(), "no name that can be looked up") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// Some cameras take a login only in the path or behind a question mark. Workers may read the configuration, and not that file.
func TestALoginMayHaveItsPlaceInTheAddress(t *testing.T) {
	for source, want := range map[string]string{
		"rtsp://192.0.2.7/user={user}&password={password}&channel=1": "rtsp://192.0.2.7/user=me%20too&password=p%40s%26s%2Fword&channel=1",
		"rtsps://192.0.2.7:322/s?u={user}&p={password}":              "rtsps://192.0.2.7:322/s?u=me%20too&p=p%40s%26s%2Fword",
	} {
		path := write(t, "[[camera]]\nid = \"door\"\nsource = \""+source+"\"\nuser = \"me too\"\npassword_file = \"secret\"\n")
		put(t, filepath.Join(filepath.Dir(path), "secret"), "p@s&s/word\n")
		made := load(t, path)
		if address, err := made.Cameras[0].Address(); err != nil || address != want {
			t.Errorf("got %s, %v", address, err)
		}
		if shown := made.Cameras[0].Shown(); strings.Contains(shown, "word") {
			t.Errorf("shown as %s", shown)
		}
	}
}

func TestTwoCamerasOfOneDeviceAreRefused(t *testing.T) {
	for sources, refused := range map[[2]string]bool{
		{"v4l2:/dev/null", "v4l2:/dev/./null"}:       true,
		{"v4l2:/dev/stdin", "v4l2:/dev/fd/0"}:        false, // where links lead may be another place tomorrow
		{"v4l2:/dev/nothing0", "v4l2:/dev/nothing0"}: true,
		{"v4l2:/dev/nothing0", "v4l2:/dev/nothing2"}: false,
		{"v4l2:/dev/my..cam", "v4l2:/dev/nothing2"}:  false,
		{"csi:0", "csi:0"}:                           true,
		{"csi:0", "csi:1"}:                           false,
		{"demo:", "demo:"}:                           false,
		{"rtsp://192.0.2.7/s", "rtsp://192.0.2.7/s"}: false,
	} {
		text := ""
		for i, source := range sources {
			text += fmt.Sprintf("[[camera]]\nid = \"camera-%d\"\nsource = %q\n", i, source)
		}
		_, err := Load(write(t, text), nil, nil)
		if refused != (err != nil && strings.Contains(err.Error(), "camera[1].source: is the device of camera[0].source as well")) {
			t.Errorf("%v: %v", sources, err)
		}
	}
}

func TestAPlaceForALoginThatIsNotThereIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`source = "rtsp://192.0.2.7/{password}"`:                                           "camera[0].password_file: is missing",
		`source = "rtsp://192.0.2.7/{user}"`:                                               "camera[0].user: is missing",
		`source = "rtsp://192.0.2.7/{password}"` + "\n" + `user = "me"`:                    "write {user} where",
		`source = "rtsp://192.0.2.7/{user}"` + "\n" + `user = "me"` + "\n" + passwordThere: "write {password} where",
		`source = "rtsp://{user}:{password}@192.0.2.7/"` + "\n" + passwordThere:            "camera[0].source",
	} {
		path := write(t, "[[camera]]\nid = \"door\"\n"+text+"\n")
		put(t, filepath.Join(filepath.Dir(path), "secret"), "secret")
		if _, err := Load(path, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

const passwordThere = `password_file = "secret"`

// TestTheGoldenJSONIsWhatIsPrinted keeps the file that the Python side decodes in its own test.
func TestTheGoldenJSONIsWhatIsPrinted(t *testing.T) {
	golden := filepath.Join(root, "contracts/config-golden")
	made := load(t, filepath.Join(golden, "config.toml"))
	text, err := made.JSON()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(golden, "effective.json"))
	if err != nil {
		t.Fatal(err)
	}
	if string(text)+"\n" != string(want) || !json.Valid(text) {
		t.Errorf("contracts/config-golden/effective.json is stale, want\n%s", text)
	}
}

// nginx asks by the name of its upstream, in which many write an underscore.
func TestAHostMayHaveUnderscores(t *testing.T) {
	loaded, err := Load("", []string{`VISAVIS_WEB__HOSTS=["visavis_devices", "_a"]`}, nil)
	if err != nil || len(loaded.Web.Hosts) != 2 {
		t.Errorf("%v %v", loaded, err)
	}
}
