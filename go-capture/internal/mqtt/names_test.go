// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"visavis/capture/internal/config"
	"visavis/capture/internal/hub"
)

// drawnName is any text, mostly of what makes a topic: so that good names, bad names and nearly good names all come.
func drawnName() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[a-z0-9_-]{1,33}`), rapid.StringMatching(`[a-zA-Z0-9_/+#$. -]{0,6}`), rapid.StringMatching(`[a-z]{1,3}[\n\r\t/+#]`),
		rapid.String(),
	)
}

// tomlText writes a string so that TOML reads exactly that.
func tomlText(text string) string {
	quoted := `"`
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c == 0x7f {
			quoted += fmt.Sprintf(`\u%04X`, c)
			continue
		}
		quoted += string(c)
	}
	return quoted + `"`
}

type drawnNames struct{ prefix, device, camera, zone string }

func (n drawnNames) file() string {
	return fmt.Sprintf("[device]\nid = %s\n[mqtt]\nprefix = %s\n[[camera]]\nid = %s\nsource = 'demo:'\n"+
		"zones = [{ name = %s, polygon = [[0.1,0.2],[0.9,0.2],[0.9,0.9]] }]\n", tomlText(n.device), tomlText(n.prefix), tomlText(n.camera), tomlText(n.zone))
}

// TestNoNameOfAConfigurationLeavesThePrefix goes the whole way of a name: from the file over the check of the settings and the
// publisher to the topics. A name is refused under its key, or stands in its own level, unchanged.
func TestNoNameOfAConfigurationLeavesThePrefix(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	good := regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		name := drawnName()
		n := drawnNames{name.Draw(t, "prefix"), name.Draw(t, "device"), name.Draw(t, "camera"), name.Draw(t, "zone")}
		if rapid.IntRange(0, 2).Draw(t, "one bad at most") > 0 { // four drawn names are hardly ever all good
			some := n
			n = drawnNames{"visavis", "porch", "door", "step"}
			*[]*string{&n.prefix, &n.device, &n.camera, &n.zone}[rapid.IntRange(0, 3).Draw(t, "which")] = some.prefix
		}
		if err := os.WriteFile(file, []byte(n.file()), 0o600); err != nil {
			t.Fatal(err)
		}
		settings, err := config.Load(file, nil, nil)
		wrong := map[string]bool{}
		for key, text := range map[string]string{"mqtt.prefix": n.prefix, "device.id": n.device, "camera[0].id": n.camera, "camera[0].zones[0].name": n.zone} {
			wrong[key] = !good.MatchString(text) && (text != "" || key != "device.id") // that becomes the machine's name
		}
		refusedAsExpected(t, err, wrong)
		if err == nil {
			taken++
			staysBelow(t, n, settings)
		}
	})
	if taken == 0 {
		t.Error("no configuration was taken: nothing was shown")
	}
}

func refusedAsExpected(t *rapid.T, err error, wrong map[string]bool) {
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, p := range problems {
		told[p.Key] = true
	}
	for key, bad := range wrong {
		if bad != told[key] {
			t.Fatalf("%s: refused %t, want %t: %v", key, told[key], bad, err)
		}
	}
}

func staysBelow(t *rapid.T, n drawnNames, c *config.Config) {
	p, err := New(Settings{URL: "mqtt://127.0.0.1:1", Prefix: c.MQTT.Prefix, Device: c.Device.ID})
	if err != nil {
		t.Fatal(err)
	}
	p.SetCameraStatus(c.Cameras[0].ID, true)
	p.TakeState(hub.State{Camera: c.Cameras[0].ID, Zone: c.Cameras[0].Zones[0].Name})
	base := n.prefix + "/" + c.Device.ID + "/"
	want := map[string]bool{base + "status": true}
	for _, rest := range []string{"status", "detecting", "faces", "occupied", "zone/" + n.zone + "/faces", "zone/" + n.zone + "/occupied"} {
		want[base+n.camera+"/"+rest] = true
	}
	for _, topic := range p.states.announced().Topics {
		if !want[topic] {
			t.Fatalf("%s is not below %s", strconv.Quote(topic), base)
		}
		if !ours.MatchString(topic) {
			t.Fatalf("%s would not be cleared when it is no longer there", topic)
		}
		delete(want, topic)
	}
	if len(want) > 0 || strings.Count(base, "/") != 2 {
		t.Fatalf("not told: %v", want)
	}
}
