// SPDX-License-Identifier: Apache-2.0

#include <stddef.h>
#include <stdint.h>

enum visavis_jpeg_kind { VISAVIS_JPEG_OK, VISAVIS_JPEG_DAMAGED, VISAVIS_JPEG_SIZE, VISAVIS_JPEG_COLOURS, VISAVIS_JPEG_SCANS };

#define VISAVIS_JPEG_TEXT_BYTES 200 // the most that libjpeg says of an error

struct visavis_jpeg_wanted {
	size_t body_bytes;
	unsigned reduce;        // 1, 2, 4 or 8
	int scans_most;
	unsigned width, height; // of the pixels, after reducing
};

// Writes lines of blue, green and red without a gap. `text` gets what is wrong of a damaged picture.
int visavis_jpeg_decode(const uint8_t *body, uint8_t *pixels, struct visavis_jpeg_wanted wanted, char *text);
