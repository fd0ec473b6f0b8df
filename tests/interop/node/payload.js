// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// Payloads of a process that knows no pool, and what the tests fill them with.

'use strict';

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

function packages(file) {
    return grpc.loadPackageDefinition(loader.loadSync(file, {
        includeDirs: process.env.HAUL_PROTOS.split(':'),
        keepCase: true,
        longs: String, // sums need all 64 bits
        enums: String,
        defaults: true,
        oneofs: true,
    }));
}

const periods = new Map();

// What test_fill() of tests/lib makes; it repeats itself after 65,536 bytes.
function filled(size, seed) {
    const key = seed & 0xff;
    if (!periods.has(key)) {
        periods.set(key, Buffer.from(
            Uint8Array.from({ length: 65536 }, (_, i) => key + i + (i >> 8))));
    }
    return Buffer.alloc(size, periods.get(key));
}

function inline(bytes) {
    return { length: bytes.length, inline: bytes };
}

function refuse(code, details, refused) {
    const metadata = new grpc.Metadata();
    if (refused) {
        metadata.set('shorthaul-refused', 'key');
    }
    return { code, details, metadata };
}

// The bytes of a payload, or the error that the call ends with.
function open(data) {
    const bytes = data && data.source === 'inline' ? data.inline : Buffer.alloc(0);
    if (data && data.source === 'key') {
        return refuse(grpc.status.FAILED_PRECONDITION, 'the key cannot be attached', true);
    }
    if (data && Number(data.length) !== bytes.length) {
        return refuse(grpc.status.INVALID_ARGUMENT, 'length and bytes disagree');
    }
    return { bytes };
}

function check(right, what) {
    if (!right) {
        throw new Error(what);
    }
}

module.exports = { check, filled, inline, open, packages, refuse };
