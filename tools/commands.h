// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The subcommands of `seam`. Each takes its own arguments (argv[0] is the subcommand's name), prints results on standard output and
// progress on standard error, and returns the exit status: 0 done, 1 failed, 2 wrong usage.
#pragma once

int seam_cmd_adapt(int argc, char **argv);
int seam_cmd_doctor(int argc, char **argv);
int seam_cmd_eval(int argc, char **argv);
int seam_cmd_info(int argc, char **argv);
int seam_cmd_quantize(int argc, char **argv);
int seam_cmd_report(int argc, char **argv);
int seam_cmd_synth(int argc, char **argv);
int seam_cmd_train(int argc, char **argv);
