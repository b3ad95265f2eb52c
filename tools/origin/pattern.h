/*
 * pattern.h - the bytes of generated objects.
 *
 * Word i (8 bytes, little-endian, at offset 8 * i) of the object with a given seed is
 *
 *	x = i * 0xd1342543de82ef95 + seed * 0x9e3779b97f4a7c15
 *	word = (x ^ x >> 32) * 0xbf58476d1ce4e5b9
 *
 * in 64-bit arithmetic. Each step is invertible, so no two words of an object are alike: bytes from
 * a wrong offset never compare equal by accident. Any byte is computed without those before it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Writes bytes [offset, offset + len) of the object to buf. Any thread; tens of GB/s. */
void pattern_fill(uint64_t seed, uint64_t offset, void *buf, size_t len);
