"""JAX's names that fdl does not have on purpose, by module and reason. `*_p` stands for all names that end so."""

LEFT_OUT = {
    "numpy": {
        "NumPy's file formats and texts are NumPy's: its functions take arrays as they are": """array_repr array_str
            fromfile fromstring get_printoptions load printoptions save savez set_printoptions""",
        "dtypes that no operation takes": """float4_e2m1fn float6_e2m3fn float6_e3m2fn float8_e3m4 float8_e4m3
            float8_e4m3b11fnuz float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu int1 int2 int4 uint1 uint2 uint4
            character flexible object_""",
        "the way of a contraction is found anew by `einsum`": "einsum_path",
    },
    "lax": {
        "JAX's primitives: fdl's stand in `fdl.ops` under names of their own": "*_p",
        "tokens order effects of XLA": "after_all create_token precv psend",
        "settings of XLA's operations": """AccuracyMode DotAlgorithm DotAlgorithmPreset RandomAlgorithm
            RaggedDotDimensionNumbers Tolerance rng_bit_generator rng_uniform""",
        "sharding of arrays over devices": "pbroadcast pcast ragged_all_to_all",
        "words of JAX's own stages": "composite dce_sink platform_dependent stage",
    },
    "lax.linalg": {
        "JAX's primitives: fdl's stand in `fdl.ops` under names of their own": "*_p",
        "choices between XLA's algorithms": "EigImplementation EighImplementation SvdAlgorithm",
    },
    "random": {
        "JAX's primitives: fdl's stand in `fdl.ops` under names of their own": "*_p",
        "keys have the dtype of their words": "key_dtype",
    },
    "nn": {
        "block-scaled products of dtypes that no operation takes": """get_scaled_dot_general_config
        scaled_dot_general scaled_matmul"""
    },
    "tree_util": {"registries of pytrees: there is one": "default_registry"},
}
