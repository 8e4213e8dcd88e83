/* xml.h - just enough XML for the answers of S3: elements, text, attributes passed over.
 *
 * Strict about structure (one root, matching tags, bounded depth), so that a cut or foreign answer
 * is noticed instead of half understood. Document types, CDATA, comments and processing
 * instructions other than the leading declaration do not occur in S3 and are refused. The text is
 * handed out raw; ps_s3_xml_text resolves its entities.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_S3_XML_H
#define PS_BACKEND_S3_XML_H

#include "base/err.h"
#include "base/str.h"

enum { S3_XML_DEPTH_MAX = 16 };

/* An element that ended. `text` is what stood directly before its end tag: all of its text when it
 * has no children. `parent` is absent for the root. */
struct s3_element {
    struct ps_str name, parent, text;
};

/* A negative return ends the walk and is handed on. */
typedef int s3_element_fn(void *ctx, const struct s3_element *element);

/* PS_ECORRUPT when `doc` is no such document or its root is not `root`. */
int ps_s3_xml_walk(struct ps_str doc, const char *root, s3_element_fn *fn, void *ctx,
                   struct ps_err *e);

/* True when the document's first element is `name`; looks no further. */
bool ps_s3_xml_begins(struct ps_str doc, const char *name);

/* Resolves entities into `to`, NUL-terminated; false when it does not fit, an entity is unknown or
 * stands for NUL. */
bool ps_s3_xml_text(struct ps_str raw, char *to, size_t size);

/* Decimal digits alone, below 2^63. */
bool ps_s3_xml_number(struct ps_str raw, uint64_t *ret);

bool ps_s3_is(struct ps_str s, const char *text);

#endif
