// SPDX-License-Identifier: Apache-2.0

package album

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"visavis/capture/internal/state"
)

const (
	unfinished = ".new" // what a kill may leave behind
	blockBytes = 4096   // what a file takes on disk is counted in blocks
)

// page is one file: <id of the event>.<camera>.<privacy>.jpg.
type page struct {
	id, camera, privacy string
	bytes               int64 // on disk
}

var form = regexp.MustCompile(`^([0-7][0-9A-HJKMNP-TV-Z]{25})\.([a-z0-9_-]{1,32})\.([a-z]{1,16})\.jpg$`)

func (p page) name() string { return p.id + "." + p.camera + "." + p.privacy + ".jpg" }

func (a *Album) path(p page) string { return filepath.Join(a.settings.Folder, p.name()) }

func onDisk(bytes int64) int64 { return (bytes + blockBytes - 1) / blockBytes * blockBytes }

// isWhole tells whether a JPEG has its beginning and its end: the names of files may outlive a power cut that their content did not.
func isWhole(jpeg []byte) bool {
	return bytes.HasPrefix(jpeg, []byte{0xff, 0xd8}) && bytes.HasSuffix(jpeg, []byte{0xff, 0xd9})
}

// load locks the folder and lists what is in it, once.
func (a *Album) load() error {
	if a.folder != nil {
		return nil
	}
	folder, err := state.Lock(a.settings.Folder)
	if err != nil {
		return err
	}
	entries, err := folder.ReadDir(-1)
	if err != nil {
		return errors.Join(err, folder.Close())
	}
	a.folder = folder
	a.take(entries)
	return nil
}

// take lists pictures, and removes what was being written when an earlier process was killed.
func (a *Album) take(entries []os.DirEntry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept, a.bytes = nil, 0
	for _, one := range entries {
		if strings.HasSuffix(one.Name(), ".jpg"+unfinished) {
			_ = os.Remove(filepath.Join(a.settings.Folder, one.Name())) // else it stays: nobody finds it
			continue
		}
		parts := form.FindStringSubmatch(one.Name())
		about, err := one.Info()
		if parts == nil || err != nil || !about.Mode().IsRegular() {
			continue
		}
		found := page{parts[1], parts[2], parts[3], onDisk(about.Size())}
		a.kept, a.bytes = append(a.kept, found), a.bytes+found.bytes
	}
	sortByID(a.kept)
}

func sortByID(pages []page) {
	slices.SortFunc(pages, func(one, other page) int { return one.compare(other.id) })
}
