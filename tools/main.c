// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The `seam` command: finds the subcommand and calls it. It owns the list of subcommands and nothing else.
#include "tools/commands.h"

#include <gst/gst.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"train", "train a model from a recipe and a data folder", seam_cmd_train},
    {"eval", "measure a model on a data folder", seam_cmd_eval},
    {"adapt", "fit a model to new parts from few welds, or from good ones only", seam_cmd_adapt},
    {"quantize", "make a model of 8-bit weights, smaller and faster", seam_cmd_quantize},
    {"info", "show, and with --verify check, a model", seam_cmd_info},
    {"synth", "make synthetic welds", seam_cmd_synth},
    {"report", "make an HTML report from results", seam_cmd_report},
    {"doctor", "find out what is missing on this machine or wrong in a pipeline", seam_cmd_doctor},
};

static int usage(FILE *to)
{
    fprintf(to, "Usage: seam COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\nseam COMMAND --help tells the options of one.\n");
    return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
    setlocale(LC_MESSAGES, "");
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return usage(stdout);
    if (strcmp(argv[1], "--version") == 0) {
        printf("seam %s\n", SEAM_VERSION);
        return 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "seam: there is no command \"%s\"\n", argv[1]);
    return usage(stderr);
}
