/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Tables to send: made once per shape by the parent, only read from then on. The cells of all columns
 * are the same memory, for what is measured is what happens to it afterwards.
 */

#include <stdlib.h>

#include "message_bench.h"

typedef struct made {
    Bench__V1__Table table; /* first: what the caller knows */
    Bench__V1__Column *columns;
    Bench__V1__Column **row;
    uint8_t *cells;
    double *numbers;
} made;

static char column_name[] = "column";

static void fill(made *m, const message_shape *shape)
{
    bench_fill(m->cells, shape->n_cell_bytes);
    for (size_t i = 0; i < shape->n_numbers; i++) {
        m->numbers[i] = (double)i / 3;
    }
    for (size_t i = 0; i < shape->n_columns; i++) {
        Bench__V1__Column *column = &m->columns[i];
        bench__v1__column__init(column);
        column->name = column_name;
        column->cells = (ProtobufCBinaryData){.len = shape->n_cell_bytes, .data = m->cells};
        column->numbers = m->numbers;
        column->n_numbers = shape->n_numbers;
        m->row[i] = column;
    }
    m->table.columns = m->row;
    m->table.n_columns = shape->n_columns;
}

Bench__V1__Table *message_shape_make(const message_shape *shape)
{
    made *m = calloc(1, sizeof(*m));
    if (!m) {
        return NULL;
    }
    bench__v1__table__init(&m->table);
    m->columns = calloc(shape->n_columns, sizeof(*m->columns));
    m->row = calloc(shape->n_columns, sizeof(void *));
    m->cells = malloc(shape->n_cell_bytes + 1);
    m->numbers = calloc(shape->n_numbers + 1, sizeof(*m->numbers));
    if (!m->columns || !m->row || !m->cells || !m->numbers) {
        message_shape_free(&m->table);
        return NULL;
    }
    fill(m, shape);
    return &m->table;
}

void message_shape_free(Bench__V1__Table *table)
{
    made *m = (made *)table;
    if (m) {
        free(m->columns);
        free(m->row);
        free(m->cells);
        free(m->numbers);
        free(m);
    }
}

double message_sum(const Bench__V1__Table *table)
{
    double sum = 0;
    for (size_t i = 0; i < table->n_columns; i++) {
        const Bench__V1__Column *column = table->columns[i];
        if (column->cells.len > 0) {
            sum += column->cells.data[0] + column->cells.data[column->cells.len - 1];
        }
        if (column->n_numbers > 0) {
            sum += column->numbers[column->n_numbers - 1];
        }
    }
    return sum;
}
