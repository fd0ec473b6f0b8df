/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Where things are in a configuration file.
 *
 * libcyaml says which value it refuses, but the line that it gives is that of the parser's last
 * event, often one off, and the values that it loads carry no line at all. So the file is parsed
 * twice: here with libyaml, whose document knows the line of each node, then with libcyaml.
 *
 * Used while the sidecar starts, by its only thread. Nodes are visited through the document's flat
 * table and never by descending, so depth and anchors of a hostile file cost nothing.
 */

#include "sidecar/config_file.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct config_lines {
    yaml_document_t document;
};

static unsigned line_of(const yaml_node_t *node)
{
    return (unsigned)node->start_mark.line + 1;
}

static bool is_text(const yaml_node_t *node, const char *text)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == strlen(text) &&
           memcmp(node->data.scalar.value, text, node->data.scalar.length) == 0;
}

/* libyaml's accessors take the document without const, and change nothing. */
static yaml_node_t *node_at(const config_lines *lines, int index)
{
    return yaml_document_get_node((yaml_document_t *)&lines->document, index);
}

/* ---- What no configuration may have -------------------------------------------------------- */

static bool same_scalar(const yaml_node_t *a, const yaml_node_t *b)
{
    return a->type == YAML_SCALAR_NODE && b->type == YAML_SCALAR_NODE &&
           a->data.scalar.length == b->data.scalar.length &&
           memcmp(a->data.scalar.value, b->data.scalar.value, a->data.scalar.length) == 0;
}

static haul_status check_mapping(const config_lines *lines, const yaml_node_t *mapping,
                                 config_error *err)
{
    const yaml_node_pair_t *end = mapping->data.mapping.pairs.top;
    for (const yaml_node_pair_t *a = mapping->data.mapping.pairs.start; a < end; a++) {
        const yaml_node_t *first = node_at(lines, a->key);
        for (const yaml_node_pair_t *b = a + 1; b < end; b++) {
            const yaml_node_t *second = node_at(lines, b->key);
            if (same_scalar(first, second)) {
                return config_refuse(err, line_of(second),
                                     "key '%.64s' is there twice (first on line %u)",
                                     (const char *)second->data.scalar.value, line_of(first));
            }
        }
    }
    return HAUL_OK;
}

static haul_status check_nodes(const config_lines *lines, config_error *err)
{
    const yaml_node_t *end = lines->document.nodes.top;
    for (const yaml_node_t *node = lines->document.nodes.start; node < end; node++) {
        if (node->type == YAML_SCALAR_NODE &&
            memchr(node->data.scalar.value, '\0', node->data.scalar.length)) {
            return config_refuse(err, line_of(node), "a string holds a NUL character");
        }
        /* Quadratic, over keys of one mapping; a mapping of ours has ten. */
        if (node->type == YAML_MAPPING_NODE &&
            node->data.mapping.pairs.top - node->data.mapping.pairs.start > 1000) {
            return config_refuse(err, line_of(node), "a mapping holds more than 1000 keys");
        }
        if (node->type == YAML_MAPPING_NODE && check_mapping(lines, node, err) != HAUL_OK) {
            return HAUL_INVALID;
        }
    }
    return HAUL_OK;
}

/* ---- Opening ------------------------------------------------------------------------------- */

static haul_status parser_failed(const yaml_parser_t *parser, config_error *err)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return HAUL_NOMEM;
    }
    if (parser->error == YAML_READER_ERROR) { /* has an offset into the file, and no mark */
        unsigned line = 1;
        const unsigned char *text = parser->input.string.start;
        for (size_t i = 0; i < parser->problem_offset && text + i < parser->input.string.end; i++) {
            line += text[i] == '\n';
        }
        return config_refuse(err, line, "%s", parser->problem);
    }
    return config_refuse(err, (unsigned)parser->problem_mark.line + 1, "%s%s%s",
                         parser->context ? parser->context : "", parser->context ? ": " : "",
                         parser->problem ? parser->problem : "not YAML");
}

static haul_status load(yaml_parser_t *parser, config_lines *lines, config_error *err)
{
    if (!yaml_parser_load(parser, &lines->document)) {
        return parser_failed(parser, err);
    }
    if (!yaml_document_get_root_node(&lines->document)) {
        return config_refuse(err, 1, "the file holds no configuration");
    }
    haul_status status = check_nodes(lines, err);
    yaml_document_t second;
    if (status == HAUL_OK && !yaml_parser_load(parser, &second)) {
        return parser_failed(parser, err);
    }
    if (status == HAUL_OK) {
        const yaml_node_t *root = yaml_document_get_root_node(&second);
        if (root) {
            status = config_refuse(err, line_of(root), "the file holds a second document");
        }
        yaml_document_delete(&second);
    }
    return status;
}

haul_status config_lines_open(const char *text, size_t len, config_lines **out_lines,
                              config_error *err)
{
    yaml_parser_t parser;
    config_lines *lines = calloc(1, sizeof(*lines));
    if (!lines || !yaml_parser_initialize(&parser)) {
        free(lines);
        return HAUL_NOMEM;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    haul_status status = load(&parser, lines, err);
    yaml_parser_delete(&parser);
    if (status != HAUL_OK) {
        config_lines_close(lines);
        return status;
    }
    *out_lines = lines;
    return HAUL_OK;
}

void config_lines_close(config_lines *lines)
{
    if (lines) {
        yaml_document_delete(&lines->document);
        free(lines);
    }
}

/* ---- Finding ------------------------------------------------------------------------------- */

static const yaml_node_t *member(const config_lines *lines, const yaml_node_t *mapping,
                                 const char *key)
{
    if (mapping->type != YAML_MAPPING_NODE) {
        return NULL;
    }
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        if (is_text(node_at(lines, pair->key), key)) {
            return node_at(lines, pair->value);
        }
    }
    return NULL;
}

static const yaml_node_t *element(const config_lines *lines, const yaml_node_t *sequence, int i)
{
    if (!sequence || sequence->type != YAML_SEQUENCE_NODE ||
        i >= sequence->data.sequence.items.top - sequence->data.sequence.items.start) {
        return NULL;
    }
    return node_at(lines, sequence->data.sequence.items.start[i]);
}

unsigned config_lines_of(const config_lines *lines, config_where where)
{
    const yaml_node_t *node = node_at(lines, 1);
    const yaml_node_t *next = node;
    if (node && where.pool >= 0) {
        next = element(lines, member(lines, node, "pools"), where.pool);
        node = next ? next : node;
    }
    if (next && where.cls >= 0) {
        next = element(lines, member(lines, node, "classes"), where.cls);
        node = next ? next : node;
    }
    if (next && where.key) {
        next = member(lines, node, where.key);
        node = next ? next : node;
    }
    return node ? line_of(node) : 1;
}

unsigned config_lines_of_key(const config_lines *lines, const char *key, unsigned from)
{
    unsigned best = 0;
    const yaml_node_t *end = lines->document.nodes.top;
    for (const yaml_node_t *node = lines->document.nodes.start; node < end; node++) {
        if (node->type != YAML_MAPPING_NODE) {
            continue;
        }
        for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
             pair < node->data.mapping.pairs.top; pair++) {
            const yaml_node_t *found = node_at(lines, pair->key);
            if (is_text(found, key) && line_of(found) >= from &&
                (best == 0 || line_of(found) < best)) {
                best = line_of(found);
            }
        }
    }
    return best ? best : from;
}
