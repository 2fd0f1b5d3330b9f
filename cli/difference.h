/* What a difference of the books is, as a sentence for a person. */
#ifndef FLASHSALE_DIFFERENCE_H
#define FLASHSALE_DIFFERENCE_H

#include "audit.h"

/* On stdout, without a full stop or the end of the line. */
void difference_print(const struct difference *);

#endif
