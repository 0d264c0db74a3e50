// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"

	"visavis/capture/internal/openinference"
	"visavis/capture/internal/problem"
)

// InferenceRoute is one of the Open Inference Protocol's.
type InferenceRoute struct {
	Method, Pattern string // "" = GET and HEAD
	Open            bool   // it tells nothing that /readyz does not tell: no login
	Operation       map[string]any
	Handler         http.Handler
}

const modelPath, versionPath = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"

// InferenceRoutes are those that `tritonclient` uses; each one of the model is there with and without a version.
func (g *Gateway) InferenceRoutes() []InferenceRoute {
	routes := []InferenceRoute{
		{Pattern: "/v2", Operation: v2Operation("The device as a server of the Open Inference Protocol", serverSchema()), Handler: http.HandlerFunc(g.serveServer)},
		{Pattern: "/v2/health/live", Open: true, Operation: v2Operation("The process answers", exactly(object{"live": truthSchema})), Handler: http.HandlerFunc(g.serveLive)},
		{Pattern: "/v2/health/ready", Open: true, Operation: v2Operation("A worker is ready", exactly(object{"ready": truthSchema}), "503"), Handler: http.HandlerFunc(g.serveReady)},
	}
	for _, path := range []string{modelPath, versionPath} {
		routes = append(routes,
			InferenceRoute{Pattern: path, Operation: g.ofModel(path, v2Operation("Inputs and outputs of the model", modelSchema(), "404")), Handler: http.HandlerFunc(g.serveModel)},
			InferenceRoute{Pattern: path + "/ready", Operation: g.ofModel(path, v2Operation("A worker is ready", exactly(object{"name": textSchema, "ready": truthSchema}), "404", "503")), Handler: http.HandlerFunc(g.serveModelReady)},
			InferenceRoute{Method: http.MethodPost, Pattern: path + "/infer", Operation: g.inferOperation(path), Handler: http.HandlerFunc(g.ServeInfer)},
		)
	}
	return routes
}

func (g *Gateway) serveServer(w http.ResponseWriter, r *http.Request) {
	tellJSON(w, r, openinference.ServerOf(g.settings.Version))
}

func (g *Gateway) serveLive(w http.ResponseWriter, r *http.Request) {
	tellJSON(w, r, map[string]bool{"live": true})
}

func (g *Gateway) serveReady(w http.ResponseWriter, r *http.Request) {
	if err := g.Unready(); err != nil {
		refusalOf(err).problem().Write(w, r)
		return
	}
	tellJSON(w, r, map[string]bool{"ready": true})
}

// Unready says why a picture that came now would get no answer; nil when it would.
func (g *Gateway) Unready() error {
	if g.Stopping() {
		return Stopping()
	}
	if !g.ready(g.input) {
		return noWorker()
	}
	return nil
}

func (g *Gateway) serveModel(w http.ResponseWriter, r *http.Request) {
	if err := g.KnowsModel(r.PathValue("model"), r.PathValue("version")); err != nil {
		refusalOf(err).problem().Write(w, r)
		return
	}
	tellJSON(w, r, openinference.MetadataOf(g.settings.Model))
}

func (g *Gateway) serveModelReady(w http.ResponseWriter, r *http.Request) {
	err := g.KnowsModel(r.PathValue("model"), r.PathValue("version"))
	if err == nil {
		err = g.Unready()
	}
	if err != nil {
		refusalOf(err).problem().Write(w, r)
		return
	}
	tellJSON(w, r, map[string]any{"name": g.settings.Model, "ready": true})
}

func tellJSON(w http.ResponseWriter, r *http.Request, body any) {
	w.Header().Set("Cache-Control", "no-store")
	problem.WriteJSON(w, r, problem.Answer{ContentType: jsonType, Status: http.StatusOK, Body: body})
}
