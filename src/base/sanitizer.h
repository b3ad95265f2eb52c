/*
 * sanitizer.h - which sanitizer this is compiled for: gcc and clang say it in different ways.
 *
 * For what a sanitizer can't do, or does differently on purpose; each place says what that is.
 */
#pragma once

#ifdef __has_feature
#define SANITIZED_AGAINST(feature) __has_feature(feature)
#else
#define SANITIZED_AGAINST(feature) 0
#endif

#if defined(__SANITIZE_THREAD__) || SANITIZED_AGAINST(thread_sanitizer)
#define WITH_TSAN 1
#else
#define WITH_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SANITIZED_AGAINST(address_sanitizer)
#define WITH_ASAN 1
#else
#define WITH_ASAN 0
#endif

#define WITH_SANITIZER (WITH_TSAN || WITH_ASAN)
