// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The plugin: the list of its elements.
#define PACKAGE "seam" // GST_PLUGIN_DEFINE wants it
#include <gst/gst.h>

#include "plugins/gstseamattach.h"
#include "plugins/gstseamcsvsrc.h"
#include "plugins/gstseamdecoder.h"
#include "plugins/gstseamencoder.h"
#include "plugins/gstseamfusion.h"
#include "plugins/gstseaminspect.h"
#include "plugins/gstseamoverlay.h"
#include "plugins/gstseamsensorembed.h"
#include "plugins/gstseamtextembed.h"
#include "plugins/gstseamvideoembed.h"

static gboolean plugin_init(GstPlugin *plugin)
{
    gboolean result = GST_ELEMENT_REGISTER(seamattach, plugin);
    result &= GST_ELEMENT_REGISTER(seamcsvsrc, plugin);
    result &= GST_ELEMENT_REGISTER(seamdecoder, plugin);
    result &= GST_ELEMENT_REGISTER(seamencoder, plugin);
    result &= GST_ELEMENT_REGISTER(seamfusion, plugin);
    result &= GST_ELEMENT_REGISTER(seamoverlay, plugin);
    result &= GST_ELEMENT_REGISTER(seamsensorembed, plugin);
    result &= GST_ELEMENT_REGISTER(seamtextembed, plugin);
    result &= GST_ELEMENT_REGISTER(seamvideoembed, plugin);
    result &= GST_ELEMENT_REGISTER(seaminspect, plugin); // last: its properties are those of the others
    return result;
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, seam, "Weld inspection by one multimodal model in several elements", plugin_init,
                  SEAM_VERSION, "LGPL", "Seam", "Seam")
