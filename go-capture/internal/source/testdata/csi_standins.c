// SPDX-License-Identifier: Apache-2.0
// A GStreamer plugin for tests: the elements of the camera pipelines that need hardware, made of GStreamer's own test
// picture. libcamerasrc gives a ball that moves; nvarguscamerasrc gives it as NV12 in what claims to be NVIDIA's memory,
// and nvvidconv takes it out of there.
#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>

#define PACKAGE "visavis"
#define BALL "videotestsrc is-live=true pattern=ball"

// visavisturn passes buffers on and turns what their caps say of the memory: ordinary into NVIDIA's, and back.
typedef GstBaseTransform Turn;
typedef GstBaseTransformClass TurnClass;
G_DEFINE_TYPE(Turn, turn, GST_TYPE_BASE_TRANSFORM)

static GstCaps *turned(GstBaseTransform *self, GstPadDirection direction, GstCaps *caps, GstCaps *filter) {
  GstCaps *result = gst_caps_copy(caps);
  for (guint i = 0; i < gst_caps_get_size(result); i++) {
    gboolean nvidia = gst_caps_features_contains(gst_caps_get_features(result, i), "memory:NVMM");
    gst_caps_set_features(result, i, gst_caps_features_new(nvidia ? "memory:SystemMemory" : "memory:NVMM", NULL));
  }
  if (filter) {
    GstCaps *all = result;
    result = gst_caps_intersect_full(filter, all, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(all);
  }
  return result;
}

static void add_pad(gpointer type, const char *name, GstPadDirection direction) {
  GstCaps *caps = gst_caps_from_string("video/x-raw; video/x-raw(memory:NVMM)");
  gst_element_class_add_pad_template(type, gst_pad_template_new(name, direction, GST_PAD_ALWAYS, caps));
  gst_caps_unref(caps);
}

static void turn_class_init(TurnClass *type) {
  add_pad(type, "sink", GST_PAD_SINK);
  add_pad(type, "src", GST_PAD_SRC);
  gst_element_class_set_static_metadata(GST_ELEMENT_CLASS(type), "turn", "Filter", "of the memory's name", "visavis");
  type->transform_caps = turned;
}

static void turn_init(Turn *self) { gst_base_transform_set_passthrough(self, TRUE); }

// fill puts the elements of a description into a bin and makes their open ends the bin's pads.
static void fill(GstBin *bin, const char *description) {
  GstElement *inside = gst_parse_bin_from_description(description, TRUE, NULL);
  gst_bin_add(bin, inside);
  for (const char *const *name = (const char *[]){"sink", "src", NULL}; *name; name++) {
    GstPad *pad = gst_element_get_static_pad(inside, *name);
    if (pad) {
      gst_element_add_pad(GST_ELEMENT(bin), gst_ghost_pad_new(*name, pad));
      gst_object_unref(pad);
    }
  }
}

// What a pipeline sets is taken and forgotten.
static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec) {}

static void describe(gpointer type, GParamSpec *property) {
  gst_element_class_set_static_metadata(type, "stand-in", "Video", "for a camera", "visavis");
  if (property) {
    G_OBJECT_CLASS(type)->set_property = set_property;
    g_object_class_install_property(type, 1, property);
  }
}

typedef GstBin LibCamera;
typedef GstBinClass LibCameraClass;
G_DEFINE_TYPE(LibCamera, lib_camera, GST_TYPE_BIN)
static void lib_camera_class_init(LibCameraClass *type) {
  describe(type, g_param_spec_string("camera-name", "", "", NULL, G_PARAM_WRITABLE));
}
static void lib_camera_init(LibCamera *self) { fill(self, BALL); }

typedef GstBin Argus;
typedef GstBinClass ArgusClass;
G_DEFINE_TYPE(Argus, argus, GST_TYPE_BIN)
static void argus_class_init(ArgusClass *type) {
  describe(type, g_param_spec_int("sensor-id", "", "", 0, 255, 0, G_PARAM_WRITABLE));
}
static void argus_init(Argus *self) { fill(self, BALL " ! visavisturn"); }

typedef GstBin Converter;
typedef GstBinClass ConverterClass;
G_DEFINE_TYPE(Converter, converter, GST_TYPE_BIN)
static void converter_class_init(ConverterClass *type) { describe(type, NULL); }
static void converter_init(Converter *self) { fill(self, "visavisturn ! videoconvert"); }

static gboolean plugin_init(GstPlugin *plugin) {
  return gst_element_register(plugin, "visavisturn", GST_RANK_NONE, turn_get_type()) &&
         gst_element_register(plugin, "libcamerasrc", GST_RANK_NONE, lib_camera_get_type()) &&
         gst_element_register(plugin, "nvarguscamerasrc", GST_RANK_NONE, argus_get_type()) &&
         gst_element_register(plugin, "nvvidconv", GST_RANK_NONE, converter_get_type());
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, standins, "stand-ins for cameras", plugin_init, "1", "unknown",
                  PACKAGE, "visavis")
