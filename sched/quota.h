/* The CPU time that the cgroups of this process grant it (containers set it; affinity does not show
 * it). */
#ifndef JAVM_SCHED_QUOTA_H
#define JAVM_SCHED_QUOTA_H

/* The quota in whole CPUs, rounded up; 0: none. Looks below `root`, which is "" outside of tests.
 */
unsigned quota_cpus(const char *root);

#endif
