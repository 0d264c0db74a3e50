// SPDX-License-Identifier: Apache-2.0

package mqtt

// deviceTopic is prefix/device/name.
func (s Settings) deviceTopic(name string) string { return s.Prefix + "/" + s.Device + "/" + name }

// cameraTopic is prefix/device/camera/name.
func (s Settings) cameraTopic(camera, name string) string { return s.deviceTopic(camera + "/" + name) }
