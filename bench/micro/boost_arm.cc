/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Boost.Interprocess as an arm of bench_pool: managed_shared_memory, allocate and deallocate, with its
 * default allocator and mutex. A process that dies in one of the two leaves that mutex locked.
 */
#include "boost_arm.h"

#include <boost/interprocess/managed_shared_memory.hpp>
#include <string>

namespace bip = boost::interprocess;

struct boost_arm {
    explicit boost_arm(const char *shm_name)
        : name(shm_name), segment(bip::create_only, shm_name, 4 << 20)
    {
    }
    std::string name;
    bip::managed_shared_memory segment;
};

boost_arm *boost_arm_open(const char *name)
{
    try {
        return new boost_arm(name);
    } catch (const std::exception &) {
        return nullptr;
    }
}

void boost_arm_close(boost_arm *arm)
{
    if (arm) {
        std::string name = arm->name;
        delete arm;
        bip::shared_memory_object::remove(name.c_str());
    }
}

bool boost_arm_run(boost_arm *arm, size_t bytes, size_t n_ops)
{
    for (size_t i = 0; i < n_ops; i++) {
        void *p = arm->segment.allocate(bytes, std::nothrow);
        if (!p) {
            return false;
        }
        arm->segment.deallocate(p);
    }
    return true;
}
