// SPDX-License-Identifier: Apache-2.0

package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"visavis/capture/internal/auth"
)

//go:embed static
var static embed.FS

// The pages that need a login, and that a person is sent back to after one.
const (
	dashboardPage = "/"
	tryPage       = "/try"
)

// asset is one file of the page, in memory, found by its exact path only.
type asset struct {
	contentType string
	body        []byte
	tag         string
}

const htmlType = "text/html; charset=utf-8"

var assetTypes = map[string]string{
	".html":        htmlType,
	".css":         "text/css; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".svg":         "image/svg+xml",
	".webmanifest": "application/manifest+json",
}

// addressOf is the path at which a file is served: index.html is "/", login.html is "/login".
func addressOf(name string) string {
	return "/" + strings.TrimPrefix(strings.TrimSuffix(name, ".html"), "index")
}

// loadAssets returns the page's files by the path at which they are served.
func loadAssets() (map[string]asset, error) {
	entries, err := fs.ReadDir(static, "static")
	if err != nil {
		return nil, err
	}
	assets := map[string]asset{}
	for _, entry := range entries {
		name := entry.Name()
		body, err := static.ReadFile("static/" + name)
		if err != nil {
			return nil, err
		}
		contentType, known := assetTypes[path.Ext(name)]
		if !known {
			return nil, fmt.Errorf("static/%s: no content type for this kind of file", name)
		}
		sum := sha256.Sum256(body)
		assets[addressOf(name)] = asset{contentType: contentType, body: body, tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return assets, nil
}

// route serves the file. Only the page itself needs a login: what it is made of is the same on every device.
func (a asset) route(path string) route {
	made := route{pattern: path, least: auth.Public, summary: "The page", produces: a.contentType, handle: a.serve}
	if path == dashboardPage || path == tryPage {
		made.least, made.shows, made.page = auth.Viewer, NoCamera, true
	}
	if a.contentType == htmlType {
		made.handle = a.serveDocument
	}
	return made
}

// serveDocument serves a page; /try, and no other, may ask for the browser's own camera.
func (a asset) serveDocument(w http.ResponseWriter, r *http.Request) error {
	camera := "camera=()"
	if r.URL.Path == tryPage {
		camera = "camera=(self)"
	}
	secureDocument(w.Header(), r, camera)
	return a.serve(w, r)
}

// serve lets browsers keep the file but ask each time, so that an update of the device shows at once.
func (a asset) serve(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("ETag", a.tag)
	w.Header().Set("Cache-Control", "no-cache")
	if matches(r.Header.Get("If-None-Match"), a.tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // the client has gone: nobody is left to tell
	}
	return nil
}
