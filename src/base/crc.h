/*
 * crc.h - cyclic redundancy checks whose pieces may come in any order.
 *
 * A *remainder* is the bare one: the register begins with 0 and is not inverted at the end. That is
 * linear: the remainder of a whole is the exclusive or of its pieces' remainders, each shifted by
 * the bytes that follow its piece. So nothing has to be kept of a piece but that it was counted.
 *
 *	whole ^= crc_shift(kind, crc_add(kind, 0, piece, len), bytes_behind_it);	any order
 *	crc_finish(kind, whole, size)	is what the world calls the CRC
 *
 * Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum crc_kind {
	CRC_32,     /* of zlib, Ethernet: ISO-HDLC */
	CRC_32C,    /* Castagnoli's: iSCSI */
	CRC_64NVME, /* of the NVM Command Set specification, which S3 has by default */
	CRC_COUNT,
};

/* The remainder of what `remainder` is of, with len bytes behind it. */
uint64_t crc_add(enum crc_kind kind, uint64_t remainder, const void *bytes, size_t len);

/* The remainder of what `remainder` is of, with len zero bytes behind it. */
uint64_t crc_shift(enum crc_kind kind, uint64_t remainder, uint64_t len);

/* The CRC of len bytes whose remainder this is. */
uint64_t crc_finish(enum crc_kind kind, uint64_t remainder, uint64_t len);
