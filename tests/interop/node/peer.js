// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// The test service in stock gRPC for Node, for tests/interop/test_interop.c. It knows no pool:
// everything goes inline, and a key is refused as docs/wire.md says.
//
//   node peer.js serve ADDRESS     serves until its standard input ends; says "ready"
//   node peer.js call ADDRESS      makes the calls of the list; 0 if all was right
//
// NODE_PATH leads to its packages, HAUL_PROTOS to the .proto files (separated by colons).

'use strict';

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const SIZES = [0, 1, 1 << 20, 20000000, 64 << 20];
const UNBOUNDED = {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
};

const { TestService } = grpc.loadPackageDefinition(
    loader.loadSync('transport_test.proto', {
        includeDirs: process.env.HAUL_PROTOS.split(':'),
        keepCase: true,
        longs: Number,
        enums: String,
        defaults: true,
        oneofs: true,
    })).haul.test;

// What test_fill() of tests/lib makes; it repeats itself after 65,536 bytes.
function filled(size, seed) {
    const period = Buffer.from(Uint8Array.from({ length: 65536 }, (_, i) => seed + i + (i >> 8)));
    return Buffer.alloc(size, period);
}

function inline(bytes) {
    return { length: bytes.length, inline: bytes };
}

// ---- Serving ----

function refuse(code, details, refused) {
    const metadata = new grpc.Metadata();
    if (refused) {
        metadata.set('shorthaul-refused', 'key');
    }
    return { code, details, metadata };
}

function exchange(call, callback) {
    const { mode, size, data } = call.request;
    const bytes = data && data.source === 'inline' ? data.inline : Buffer.alloc(0);
    if (data && data.source === 'key') {
        callback(refuse(grpc.status.FAILED_PRECONDITION, 'the key cannot be attached', true));
    } else if (data && data.length !== bytes.length) {
        callback(refuse(grpc.status.INVALID_ARGUMENT, 'length and bytes disagree'));
    } else if (mode === 'MODE_FAIL') {
        callback(refuse(grpc.status.FAILED_PRECONDITION, 'as asked'));
    } else if (mode === 'MODE_ECHO') {
        callback(null, { data: inline(bytes) });
    } else if (mode === 'MODE_PUT') {
        callback(null, { data: inline(filled(size, 7)) });
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

function check(right, what) {
    if (!right) {
        throw new Error(what);
    }
}

async function call(address) {
    const client = new TestService(address, grpc.credentials.createInsecure(), UNBOUNDED);
    const send = (request) => new Promise((resolve) => {
        client.Exchange(request, (error, response) => resolve({ error, response }));
    });
    for (const size of SIZES) {
        const bytes = filled(size, 1);
        let { error, response } = await send({ mode: 'MODE_ECHO', data: inline(bytes) });
        check(!error && response.data.length === size && bytes.equals(response.data.inline),
            `${size} bytes there and back: ${error}`);
        ({ error, response } = await send({ mode: 'MODE_PUT', size }));
        check(!error && response.data.length === size &&
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
    call(address).catch((error) => {
        process.stderr.write(`peer.js: ${error.message}\n`);
        process.exitCode = 1;
    });
}
