// SPDX-License-Identifier: Apache-2.0
// Stands in for libnvinfer, libnvinfer_plugin and libnvonnxparser: hands every call of TensorRT's Python module on to
// the TensorRT-for-RTX core. That core refuses versions other than its own, so it is told its own. CORE and PARSER are
// the paths of its two libraries, given when this is compiled.
// With VISAVIS_TEST_NO_CUDA it makes nothing, as TensorRT does beside a driver that is too old for it.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *at(const char *library, const char *name) {
	void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL), *found = handle ? dlsym(handle, name) : NULL;
	if (!found) {
		fprintf(stderr, "TensorRT shim: %s\n", dlerror());
		abort();
	}
	return found;
}

#define CORE_IS(name) at(CORE, name)
#define PARSER_IS(name) (at(CORE, "getInferLibVersion"), at(PARSER, name))
#define MADE(make) (getenv("VISAVIS_TEST_NO_CUDA") ? NULL : (make))
#define VERSION ((int (*)(void))CORE_IS("getInferLibVersion"))()

int getNvOnnxParserVersion(void) { return ((int (*)(void))PARSER_IS("getNvOnnxParserVersion"))(); }
void *createInferBuilder_INTERNAL(void *log, int v) { return MADE(((void *(*)(void *, int))CORE_IS("createInferBuilder_INTERNAL"))(log, VERSION)); }
void *createInferRuntime_INTERNAL(void *log, int v) { return MADE(((void *(*)(void *, int))CORE_IS("createInferRuntime_INTERNAL"))(log, VERSION)); }
void *createInferRefitter_INTERNAL(void *engine, void *log, int v) { return ((void *(*)(void *, void *, int))CORE_IS("createInferRefitter_INTERNAL"))(engine, log, VERSION); }
void *getBuilderPluginRegistry(int kind) { return ((void *(*)(int))CORE_IS("getBuilderPluginRegistry"))(kind); }
void *getPluginRegistry(void) { return ((void *(*)(void))CORE_IS("getPluginRegistry"))(); }
void *createNvOnnxParser_INTERNAL(void *network, void *log, int v) { return ((void *(*)(void *, void *, int))PARSER_IS("createNvOnnxParser_INTERNAL"))(network, log, getNvOnnxParserVersion()); }
void *createNvOnnxParserRefitter_INTERNAL(void *refitter, void *log, int v) { return ((void *(*)(void *, void *, int))PARSER_IS("createNvOnnxParserRefitter_INTERNAL"))(refitter, log, getNvOnnxParserVersion()); }
int initLibNvInferPlugins(void *log, const char *space) { return 1; } // the networks here use no plugin
