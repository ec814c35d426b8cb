/* Marks what the shared library exports, and keeps C++ programs linking by the C names. */
#ifndef UC_EXPORT_H
#define UC_EXPORT_H

#define UC_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
#define UC_BEGIN_DECLS extern "C" {
#define UC_END_DECLS }
#else
#define UC_BEGIN_DECLS
#define UC_END_DECLS
#endif

#endif
