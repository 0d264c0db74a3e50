// SPDX-License-Identifier: Apache-2.0

#include "libjpeg.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>

#ifndef JCS_EXTENSIONS
#error "this jpeglib.h is not libjpeg-turbo's: install its headers, libjpeg-dev on Debian and Ubuntu"
#endif

// One picture, and where its first error leaves libjpeg.
struct job {
	struct jpeg_decompress_struct decoder;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf left;
	boolean (*at_end)(j_decompress_ptr);
	int spare_given;
	int scans_most;
	int kind;
	char *text;
};

static void leave(struct job *job, int kind) {
	job->kind = kind;
	longjmp(job->left, 1);
}

static void fail(j_common_ptr decoder) {
	struct job *job = decoder->client_data;
	decoder->err->format_message(decoder, job->text);
	leave(job, VISAVIS_JPEG_DAMAGED);
}

// What libjpeg warns of where bytes of the pixels are missing, or are others than were written.
static int tells_of_loss(int warning) {
	return warning == JWRN_HIT_MARKER || warning == JWRN_MUST_RESYNC || warning == JWRN_HUFF_BAD_CODE || warning == JWRN_ARITH_BAD_CODE;
}

// Of a picture that ends too early, or lacks something in its middle, libjpeg only warns, and fills it with grey or with what belongs
// elsewhere. Its other warnings leave a picture to look at. So does a scan that ends in its last row of blocks, unless the spare bytes at
// the end of the picture did not suffice: then all that lies behind the loss has moved.
static void warn(j_common_ptr decoder, int level) {
	struct job *job = decoder->client_data;
	int warning = decoder->err->msg_code, last_row = job->decoder.input_iMCU_row + 1 >= job->decoder.total_iMCU_rows;
	if (level >= 0) return;
	if (warning == JWRN_JPEG_EOF || (tells_of_loss(warning) && (job->spare_given || !last_row))) fail(decoder);
}

// Cameras leave out the last bits of a picture. Zeroes in front of its end take their place; a decoder that has no use for them passes over
// them. With the tables that cameras use they are worth a block or two.
static const uint8_t spare[32 + 2] = {[32] = 0xFF, 0xD9};

static boolean give_spare(j_decompress_ptr decoder) {
	struct job *job = decoder->client_data;
	if (job->spare_given) return job->at_end(decoder);
	job->spare_given = 1;
	decoder->src->next_input_byte = spare;
	decoder->src->bytes_in_buffer = sizeof spare;
	return TRUE;
}

// Of a body that does not end as a picture does, libjpeg finds the end itself, or none.
static void read_from(struct job *job, const uint8_t *body, size_t bytes) {
	struct jpeg_decompress_struct *decoder = &job->decoder;
	int ends = bytes > 2 && body[bytes - 2] == 0xFF && body[bytes - 1] == 0xD9;
	jpeg_mem_src(decoder, (unsigned char *)body, ends ? bytes - 2 : bytes);
	if (!ends) return;
	job->at_end = decoder->src->fill_input_buffer;
	decoder->src->fill_input_buffer = give_spare;
}

// Called while the scans of a picture that has several are read.
static void count_scans(j_common_ptr decoder) {
	struct job *job = decoder->client_data;
	if (job->decoder.input_scan_number > job->scans_most) leave(job, VISAVIS_JPEG_SCANS);
}

// Cyan, magenta, yellow and black: other programs than cameras write it. Libjpeg has no way from there to colours of light.
static int in_four(const struct job *job) { return job->decoder.num_components == 4; }

// The size is looked at before anything is decoded: of a picture in several scans the decoder keeps all of it.
static void begin(struct job *job, const uint8_t *body, const struct visavis_jpeg_wanted *wanted) {
	struct jpeg_decompress_struct *decoder = &job->decoder;
	read_from(job, body, wanted->body_bytes);
	jpeg_read_header(decoder, TRUE);
	if (decoder->num_components != 1 && decoder->num_components != 3 && !in_four(job)) leave(job, VISAVIS_JPEG_COLOURS);
	decoder->out_color_space = in_four(job) ? JCS_CMYK : JCS_EXT_BGR;
	decoder->scale_num = 1;
	decoder->scale_denom = wanted->reduce;
	jpeg_calc_output_dimensions(decoder);
	if (decoder->output_width != wanted->width || decoder->output_height != wanted->height) leave(job, VISAVIS_JPEG_SIZE);
	jpeg_start_decompress(decoder);
}

static void read_lines(struct job *job, uint8_t *pixels, const struct visavis_jpeg_wanted *wanted) {
	struct jpeg_decompress_struct *decoder = &job->decoder;
	while (decoder->output_scanline < wanted->height) {
		JSAMPROW line = pixels + (size_t)decoder->output_scanline * wanted->width * 3;
		jpeg_read_scanlines(decoder, &line, 1);
	}
}

// Programs write such pictures inverted, 255 for no ink, and OpenCV takes all for that; it rounds so, too.
static void to_bgr(const JSAMPLE *ink, uint8_t *pixels, unsigned width) {
	for (unsigned x = 0; x < width; x++, ink += 4, pixels += 3) {
		int black = ink[3];
		for (int colour = 0; colour < 3; colour++) pixels[2 - colour] = (uint8_t)(black - ((255 - ink[colour]) * black >> 8));
	}
}

static void read_inked_lines(struct job *job, uint8_t *pixels, const struct visavis_jpeg_wanted *wanted) {
	struct jpeg_decompress_struct *decoder = &job->decoder;
	JSAMPARRAY ink = decoder->mem->alloc_sarray((j_common_ptr)decoder, JPOOL_IMAGE, wanted->width * 4, 1);
	while (decoder->output_scanline < wanted->height) {
		uint8_t *line = pixels + (size_t)decoder->output_scanline * wanted->width * 3;
		jpeg_read_scanlines(decoder, ink, 1);
		to_bgr(ink[0], line, wanted->width);
	}
}

static void run(struct job *job, const uint8_t *body, uint8_t *pixels, const struct visavis_jpeg_wanted *wanted) {
	if (setjmp(job->left)) return;
	jpeg_create_decompress(&job->decoder);
	job->decoder.progress = &job->progress;
	begin(job, body, wanted);
	if (in_four(job)) read_inked_lines(job, pixels, wanted);
	else read_lines(job, pixels, wanted);
	jpeg_finish_decompress(&job->decoder);
}

int visavis_jpeg_decode(const uint8_t *body, uint8_t *pixels, struct visavis_jpeg_wanted wanted, char *text) {
	struct job job = {.kind = VISAVIS_JPEG_OK, .text = text, .scans_most = wanted.scans_most};
	job.progress.progress_monitor = count_scans;
	job.decoder.client_data = &job;
	job.decoder.err = jpeg_std_error(&job.errors);
	job.errors.error_exit = fail;
	job.errors.emit_message = warn;
	run(&job, body, pixels, &wanted);
	jpeg_destroy_decompress(&job.decoder);
	return job.kind;
}
