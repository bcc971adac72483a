# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from facescript.performance import BLEND_SHAPES, CHANNELS, COUNT, INDEX, REGIONS
from facescript.performance.channels import MIRROR, MIRROR_SIGN

# KeyframeFace's order, which is also Live Link Face's.
ORDER = """
EyeBlinkLeft EyeLookDownLeft EyeLookInLeft EyeLookOutLeft EyeLookUpLeft EyeSquintLeft EyeWideLeft EyeBlinkRight
EyeLookDownRight EyeLookInRight EyeLookOutRight EyeLookUpRight EyeSquintRight EyeWideRight JawForward JawRight JawLeft
JawOpen MouthClose MouthFunnel MouthPucker MouthRight MouthLeft MouthSmileLeft MouthSmileRight MouthFrownLeft
MouthFrownRight MouthDimpleLeft MouthDimpleRight MouthStretchLeft MouthStretchRight MouthRollLower MouthRollUpper
MouthShrugLower MouthShrugUpper MouthPressLeft MouthPressRight MouthLowerDownLeft MouthLowerDownRight MouthUpperUpLeft
MouthUpperUpRight BrowDownLeft BrowDownRight BrowInnerUp BrowOuterUpLeft BrowOuterUpRight CheekPuff CheekSquintLeft
CheekSquintRight NoseSneerLeft NoseSneerRight TongueOut HeadYaw HeadPitch HeadRoll LeftEyeYaw LeftEyePitch LeftEyeRoll
RightEyeYaw RightEyePitch RightEyeRoll
""".split()


def test_channels_are_keyframefaces_in_order() -> None:
    assert [channel.pascal for channel in CHANNELS] == ORDER
    assert (COUNT, len(BLEND_SHAPES)) == (61, 52)


def test_ranges_are_0_to_1_for_shapes_and_1_both_ways_for_angles() -> None:
    assert {(c.low, c.high) for c in CHANNELS[:52]} == {(0.0, 1.0)}
    assert {(c.low, c.high) for c in CHANNELS[52:]} == {(-1.0, 1.0)}


def test_sides_and_mirror_partners() -> None:
    def partner(name: str) -> tuple[str, float]:
        return CHANNELS[MIRROR[INDEX[name]]].name, MIRROR_SIGN[INDEX[name]]

    assert partner("mouthSmileLeft") == ("mouthSmileRight", 1.0)
    assert partner("jawLeft") == ("jawRight", 1.0)
    assert partner("jawOpen") == ("jawOpen", 1.0)
    assert partner("headYaw") == ("headYaw", -1.0)
    assert partner("headPitch") == ("headPitch", 1.0)
    assert partner("leftEyeYaw") == ("rightEyeYaw", -1.0)
    sides = [channel.side for channel in CHANNELS]
    # Apple's 52 shapes hold 18 pairs with sides, and jaw and mouth move to either; each eye has three angles.
    assert (sides.count("left"), sides.count("right")) == (23, 23)


def test_every_channel_has_a_known_region() -> None:
    assert {channel.region for channel in CHANNELS} == set(REGIONS)
