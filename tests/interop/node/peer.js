// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// The services of the tests in stock gRPC for Node, for tests/interop. It knows no pool: everything
// goes inline, and a key is refused as docs/wire.md says.
//
//   node peer.js serve ADDRESS     serves until its standard input ends; says "ready"
//   node peer.js call ADDRESS      makes a list of unary calls; 0 if all was right
//   node peer.js stream ADDRESS    the same with calls that stream
//
// NODE_PATH leads to its packages, HAUL_PROTOS to the .proto files (separated by colons).

'use strict';

const grpc = require('@grpc/grpc-js');
const { check, filled, inline, open, packages, refuse } = require('./payload.js');
const streams = require('./streams.js');

const SIZES = [0, 1, 1 << 20, 20000000, 64 << 20];
const UNBOUNDED = {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
};

const { TestService } = packages('transport_test.proto').haul.test;

// ---- Serving ----

function exchange(call, callback) {
    const { mode, size, data } = call.request;
    const found = open(data);
    if (found.code) {
        callback(found);
    } else if (mode === 'MODE_FAIL') {
        callback(refuse(grpc.status.FAILED_PRECONDITION, 'as asked'));
    } else if (mode === 'MODE_ECHO') {
        callback(null, { data: inline(found.bytes) });
    } else if (mode === 'MODE_PUT') {
        callback(null, { data: inline(filled(Number(size), 7)) });
    } else {
        callback(null, {});
    }
}

function serve(address) {
    const server = new grpc.Server(UNBOUNDED);
    server.addService(TestService.service, {
        Empty: (call, callback) => callback(null, {}),
        Exchange: exchange,
    });
    streams.add(server);
    server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => {
        if (error) {
            throw error;
        }
        process.stdout.write('ready\n');
    });
    process.stdin.resume();
    process.stdin.on('end', () => server.forceShutdown());
}

// ---- Calling ----

async function call(address) {
    const client = new TestService(address, grpc.credentials.createInsecure(), UNBOUNDED);
    const send = (request) => new Promise((resolve) => {
        client.Exchange(request, (error, response) => resolve({ error, response }));
    });
    for (const size of SIZES) {
        const bytes = filled(size, 1);
        let { error, response } = await send({ mode: 'MODE_ECHO', data: inline(bytes) });
        check(!error && Number(response.data.length) === size && bytes.equals(response.data.inline),
            `${size} bytes there and back: ${error}`);
        ({ error, response } = await send({ mode: 'MODE_PUT', size }));
        check(!error && Number(response.data.length) === size &&
            filled(size, 7).equals(response.data.inline), `${size} bytes of an answer: ${error}`);
    }
    let { error } = await send({ mode: 'MODE_FAIL' });
    check(error && error.code === grpc.status.FAILED_PRECONDITION, 'a status');
    ({ error } = await send({ data: { length: 6, inline: Buffer.from('bytes') } }));
    check(error && error.code === grpc.status.INVALID_ARGUMENT, 'a wrong length');
    ({ error } = await send({ data: { length: 6, key: { pool_id: 1, ticket: 2 } } }));
    check(error && error.code === grpc.status.FAILED_PRECONDITION &&
        error.metadata.get('shorthaul-refused')[0] === 'key', 'a key of nobody\'s');
    client.close();
}

const [role, address] = process.argv.slice(2);
if (role === 'serve') {
    serve(address);
} else {
    const list = role === 'stream' ? streams.call(address, UNBOUNDED) : call(address);
    list.catch((error) => {
        process.stderr.write(`peer.js: ${error.message}\n`);
        process.exitCode = 1;
    });
}
