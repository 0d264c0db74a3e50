// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/untrusted"
)

const (
	modelAuto        = "auto"
	systemCache      = "/var/cache/visavis"
	recommendedFile  = "recommended.json"
	recommendedBytes = 4096
	cpuinfo          = "/proc/cpuinfo"
)

// recommended is what `visavis model bench` found best on this machine, as far as the daemon has a use for it. Workers find it too
// (trt-infer/visavis/models/auto.py): both must look in the same folder, and judge alike whether it counts.
type recommended struct {
	Input []int `json:"input"`
	Here  struct {
		Processor string `json:"processor"`
		Visavis   string `json:"visavis"`
	} `json:"here"`
}

// takeRecommended gives the model "auto" the input at which it was measured, where nobody has set one. A model server has its own.
func (r *reader) takeRecommended(c *Config, env []string, version string) {
	_, set := r.set["detector.input"]
	if set || version == "" || c.Detector.Model != modelAuto || c.Detector.Backend == "kserve" {
		return
	}
	if size, ok := recommendedInput(filepath.Join(cacheFolder(env), recommendedFile), version); ok {
		c.Detector.Input = size
	}
}

// recommendedInput is false where there is no recommendation, or one that does not count here. It may come from a worker, which is
// not trusted, so it is held to the limits of the setting.
func recommendedInput(path, version string) (size [2]int, ok bool) {
	var found recommended
	content, err := untrusted.Read(path, recommendedBytes)
	if err != nil || json.Unmarshal(content, &found) != nil || len(found.Input) != len(size) {
		return size, false
	}
	for i, side := range found.Input {
		if _, bad := ruleOf(sectionKeys["detector"], "input").scalar(int64(side)); bad != nil {
			return size, false
		}
		size[i] = side
	}
	return size, found.Here.Visavis == version && found.Here.Processor == processor(text(cpuinfo))
}

// cacheFolder is settings.default_cache_dir of trt-infer.
func cacheFolder(env []string) string {
	if named := variable(env, "VISAVIS_CACHE_DIR"); named != "" {
		return named
	}
	if unix.Access(systemCache, unix.W_OK) == nil {
		return systemCache
	}
	if own := variable(env, "XDG_CACHE_HOME"); own != "" {
		return filepath.Join(own, "visavis")
	}
	home := variable(env, "HOME")
	if home == "" {
		if who, err := user.Current(); err == nil {
			home = who.HomeDir
		}
	}
	if home == "" {
		return systemCache
	}
	return filepath.Join(home, ".cache", "visavis")
}

// processor is processor_name of trt-infer: the machine's kind and, from Linux's cpuinfo, what the first processor is called. ARM names
// no model, but two numbers say the same.
func processor(told string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(told), "\n\n")
	fields := map[string]string{}
	for line := range strings.Lines(first) {
		name, value, _ := strings.Cut(line, ":")
		fields[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	words := []string{machine()}
	for _, name := range []string{"model name", "CPU implementer", "CPU part"} {
		if value, there := fields[name]; there {
			words = append(words, value)
		}
	}
	return strings.Join(words, " ")
}

func machine() string {
	var names unix.Utsname
	if err := unix.Uname(&names); err != nil {
		return ""
	}
	return unix.ByteSliceToString(names.Machine[:])
}

// text is "" where a container or a sandbox hides a file of the kernel.
func text(path string) string {
	content, _ := os.ReadFile(path)
	return string(content)
}
