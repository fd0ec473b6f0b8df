/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The process at the other end of the benchmark of whole messages: unpacks tables, each the way it
 * came, and touches every column. It ends with its standard input, that is, with its parent.
 */

#include "message_bench.h"
#include "server.h"

static void answer(const ProtobufCMessage *table, Bench__V1__PutResponse_Closure closure,
                   haul_call *call)
{
    Bench__V1__PutResponse response = BENCH__V1__PUT_RESPONSE__INIT;
    response.sum = message_sum((const Bench__V1__Table *)table);
    closure(&response, call);
}

/* By key the large fields stay where they are; inline it is what protobuf-c users do. */
static void handle_put(Bench__V1__TableService_Service *service,
                       const Bench__V1__PutRequest *request, Bench__V1__PutResponse_Closure closure,
                       void *closure_data)
{
    (void)service;
    haul_key key;
    haul_view view;
    haul_message *message;
    ProtobufCMessage *copied;
    const ProtobufCMessageDescriptor *type = &bench__v1__table__descriptor;
    if (haul_call_view(closure_data, request->table, &view) != HAUL_OK) {
        haul_call_fail(closure_data, GRPC_STATUS_INTERNAL, "no view of the table");
    } else if (haul_payload_get_key(request->table, &key) != HAUL_OK) {
        copied = protobuf_c_message_unpack(type, NULL, view.len, view.data);
        answer(copied, closure, closure_data);
        protobuf_c_message_free_unpacked(copied, NULL);
    } else if (haul_message_unpack_view(type, &view, NULL, &message) == HAUL_OK) {
        /* Before the answer: the view ends with it. */
        Bench__V1__PutResponse response = BENCH__V1__PUT_RESPONSE__INIT;
        response.sum = message_sum((const Bench__V1__Table *)haul_message_get(message));
        haul_message_free(message);
        closure(&response, closure_data);
    } else {
        haul_call_fail(closure_data, GRPC_STATUS_INTERNAL, "the table cannot be unpacked");
    }
}

static void handle_put_plain(Bench__V1__TableService_Service *service,
                             const Bench__V1__PutPlainRequest *request,
                             Bench__V1__PutResponse_Closure closure, void *closure_data)
{
    (void)service;
    answer(&request->table->base, closure, closure_data);
}

static void handle_fetch(Bench__V1__TableService_Service *service,
                         const Bench__V1__FetchRequest *request,
                         Bench__V1__FetchResponse_Closure closure, void *closure_data)
{
    (void)service;
    haul_buf *buf;
    haul_payload_out out;
    if (haul_call_alloc(closure_data, request->size, NULL, &buf) != HAUL_OK) {
        haul_call_fail(closure_data, GRPC_STATUS_RESOURCE_EXHAUSTED, "no buffer");
        return;
    }
    *(uint8_t *)haul_buf_data(buf) = 1;
    if (haul_call_put(closure_data, buf, request->size, &out) != HAUL_OK) {
        haul_call_fail(closure_data, GRPC_STATUS_INTERNAL, "the answer cannot be given");
        return;
    }
    Bench__V1__FetchResponse response = BENCH__V1__FETCH_RESPONSE__INIT;
    response.data = &out.payload;
    closure(&response, closure_data);
}

static haul_status add_service(haul_server *server, haul_error *err)
{
    static Bench__V1__TableService_Service service = BENCH__V1__TABLE_SERVICE__INIT(handle_);
    return haul_server_add_service(server, &service.base, err);
}

int message_be_server(const char *address, const char *pool_name)
{
    return bench_be_server("bench_message", address, pool_name, 0, add_service);
}
