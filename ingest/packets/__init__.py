"""Which packets of a video have to be decoded for every `every`-th frame of it.

Most of the time that sampling takes goes into pictures that nobody looks at. Two kinds of them need
no decoding, because no wanted picture is predicted from them:

1. pictures that are no reference for any other (H.264 `nal_ref_idc` 0; in HEVC the sub-layer
   non-reference pictures of the highest temporal sub-layer);
2. everything from behind the last wanted picture, in decoding order, to the next IDR picture, at
   which decoding starts anew.

Leaving them out changes no bit of the others. What it could change is the count: which picture is
the tenth is known from decoding all ten. So the number of each picture is taken from the packets,
and only where the stream proves it: `Survey` reads the picture order count of every packet, which
is what a decoder sorts its output by, and compares it with the presentation times. Streams that do
not agree with themselves, or hold anything else than one frame a packet, raise `Unproven` and are
decoded in full.
"""
