"""The constants of papers and official codes in the presets, written from these, with the place."""

from fractions import Fraction
from pathlib import Path

import pytest
import yaml

import lightning_hash
from lightning_hash.sweeps import read_plan

ROOT = Path(lightning_hash.__file__).parent.parent
CONFIGS = ROOT / "configs"
OBJECTIVE, STEP, TARGETS = "model.objective", "model.step", "model.targets"
LOSS, OPTIMIZER, DECAY = "model.loss", "model.optimizer", "model.lr_scheduler"
DATA = "data.init_args"
ONE = {"values": [1.0], "starts": [0.0]}
HASH_ADV, PGD = "CgAT hash_adv", "SAAT adv_generator/pgd.py"

TABLE = {
    "attack/hag": [
        ("HAG Eq. 6", OBJECTIVE, "HAG"), ("HAG IV-F: t = 0.5", f"{OBJECTIVE}.init_args", None),
        ("HAG IV-C: 500 on 0..255", f"{STEP}.init_args.lr", 500 / 255**2),
        ("HAG IV-C", f"{STEP}.init_args.momentum", 0.9), ("HAG IV-C", STEP, "SGD"),
        ("HAG IV-C: 2000", "trainer.max_epochs", 2000),
        ("HAG IV-C: 10, 0.039 of [0, 1]", "model.epsilon", 10 / 255),
        ("HAG IV-C: the schedule, the default", "model.alpha", None),
    ],
    "attack/hag_star": [
        ("HAG IV-F: tanh(x) without updating", "model.alpha.init_args", ONE),
        ("HAG IV-C", f"{STEP}.init_args.lr", 500 / 255**2),
        ("HAG IV-C", f"{STEP}.init_args.momentum", 0.9), ("HAG IV-C", "trainer.max_epochs", 2000),
        ("HAG IV-C", "model.epsilon", 10 / 255), ("HAG Eq. 6", OBJECTIVE, "HAG"),
    ],
    "attack/hag_code": [
        ("HAG main.py: learning_rate = 100", f"{STEP}.init_args.lr", 100 / 255**2),
        ("HAG main.py: GradientDescentOptimizer", f"{STEP}.init_args.momentum", None),
        ("HAG main.py: epoch = 2000", "trainer.max_epochs", 2000),
        ("HAG main.py: demo_epsilon = 10.0", "model.epsilon", 10 / 255),
        ("HAG main.py: break", "model.stop_finished", True), ("HAG main.py", OBJECTIVE, "HAGCode"),
    ],
    "attack/dhta": [
        ("DHTA Eq. 9", OBJECTIVE, "AnchorCode"), ("DHTA 4.2: 1", f"{STEP}.init_args.lr", 1.0),
        ("DHTA 4.2: 2,000", "trainer.max_epochs", 2000), ("DHTA 4.2", "model.epsilon", 0.032),
        ("DHTA 4.2: n_t = 9, the default", TARGETS, None), ("DHTA 4.2", "model.alpha", None),
    ],
    "attack/dhta_code": [
        ("DHTA attack_imagenet.py: alpha=1", f"{STEP}.init_args.lr", 1.0),
        ("DHTA attack_imagenet.py: torch.norm(grad, 2)", STEP, "NormalizedStep"),
        ("DHTA attack_imagenet.py: num_iter=2000", "trainer.max_epochs", 2000),
        ("DHTA attack_imagenet.py: 0.032", "model.epsilon", 0.032),
        ("DHTA attack_imagenet.py: clamp", "model.epsilon_space", "normalized"),
    ],
    "attack/p2p": [
        ("DHTA 4.2: n_t = 1", f"{TARGETS}.init_args.n_t", 1), ("DHTA 4.2", "model.epsilon", 0.032),
        ("DHTA 4.2", f"{STEP}.init_args.lr", 1.0), ("DHTA 4.2", "trainer.max_epochs", 2000),
    ],
    "attack/feature": [
        ("DHTA E: an image", f"{TARGETS}.init_args.n_t", 1), ("DHTA 4.2", "model.epsilon", 0.032),
        ("DHTA 4.2", "trainer.max_epochs", 2000), ("DHTA E", OBJECTIVE, "TargetFeatures"),
    ],
    "attack/noise": [
        ("DHTA 4.2: U(-eps, eps)", OBJECTIVE, "Noise"), ("DHTA 4.2", "model.epsilon", 0.032),
    ],
    "attack/cgat": [
        (HASH_ADV, OBJECTIVE, "CgAT"), (HASH_ADV, f"{OBJECTIVE}.init_args", {"voters": "train"}),
        (f"{HASH_ADV}: step=2", f"{STEP}.init_args.lr", 2 / 255), (HASH_ADV, STEP, "SignStep"),
        (f"{HASH_ADV}: iteration=7", "trainer.max_epochs", 7),
        (f"{HASH_ADV}: epsilon = 8 / 255.0", "model.epsilon", 8 / 255),
        (f"{HASH_ADV}: randomize=True", "model.start_seed", 0),
        (f"{HASH_ADV}: tanh(H)", "model.alpha.init_args", ONE),
    ],
    "attack/cgat_targeted": [
        (HASH_ADV, f"{OBJECTIVE}.init_args", {"targeted": True, "voters": "train"}),
        (HASH_ADV, f"{STEP}.init_args.lr", 2 / 255), (HASH_ADV, "trainer.max_epochs", 7),
        (HASH_ADV, "model.epsilon", 8 / 255), (HASH_ADV, "model.start_seed", 0),
        (HASH_ADV, "model.alpha.init_args", ONE),
    ],
    "attack/saat": [
        ("SAAT adv_attack.py", OBJECTIVE, "SAAT"),
        ("SAAT adv_attack.py: train_code", f"{OBJECTIVE}.init_args", {"voters": "train"}),
        (f"{PGD}: step=1.0", f"{STEP}.init_args.lr", 1 / 255), (PGD, STEP, "SignStep"),
        (f"{PGD}: iteration=100", "trainer.max_epochs", 100),
        ("SAAT adv_attack.py: 8 / 255.", "model.epsilon", 8 / 255),
        (f"{PGD}: uniform_", "model.start_seed", 0), (f"{PGD}: get_alpha", "model.alpha", None),
    ],
    "attack/saat_targeted": [
        (PGD, f"{OBJECTIVE}.init_args", {"targeted": True, "voters": "train"}),
        (PGD, f"{STEP}.init_args.lr", 1 / 255), (PGD, "trainer.max_epochs", 100),
        (PGD, "model.epsilon", 8 / 255), (PGD, "model.start_seed", 0), (PGD, "model.alpha", None),
        ("SAAT select_target_label", f"{TARGETS}.init_args", {"n_t": 1, "rule": "disjoint"}),
    ],
    "attack/apgd": [
        ("Croce and Hein, Alg. 1", STEP, "APGD"),
        ("AutoAttack: n_iter=100", "trainer.max_epochs", 100),
        ("AutoAttack: 8/255", "model.epsilon", 8 / 255), ("HAG Eq. 6", OBJECTIVE, "HAG"),
        ("losses of two iterations are compared", "model.alpha.init_args", ONE),
    ],
    "attack/feature_shift": [
        ("AutoAttack: n_iter=100", "trainer.max_epochs", 100), ("Alg. 1", STEP, "APGD"),
        ("AutoAttack: 8/255", "model.epsilon", 8 / 255), ("ours", OBJECTIVE, "FeatureShift"),
        ("no gradient at the clean query", "model.start_seed", 0),
    ],
    "attack/apgd_l2": [
        ("RobustBench: L2 0.5 at 32 x 32", "model.epsilon", 0.5),
        ("RobustBench", "model.budget", "L2"),
        ("AutoAttack: n_iter=100", "trainer.max_epochs", 100), ("Alg. 1", STEP, "APGD"),
    ],
    "attack/apgd_targeted": [
        ("DHTA Eq. 9", OBJECTIVE, "AnchorCode"), ("AutoAttack", "trainer.max_epochs", 100),
        ("AutoAttack: 8/255", "model.epsilon", 8 / 255), ("Alg. 1", STEP, "APGD"),
    ],
    "attack/square": [
        ("AutoAttack: n_queries=5000", "trainer.max_epochs", 5000), ("AutoAttack", STEP, "Square"),
        ("AutoAttack: p_init=.8, the default", f"{STEP}.init_args", None),
        ("AutoAttack: 8/255", "model.epsilon", 8 / 255),
    ],
    "attack/square_targeted": [
        ("AutoAttack: n_queries=5000", "trainer.max_epochs", 5000), ("AutoAttack", STEP, "Square"),
        ("AutoAttack: 8/255", "model.epsilon", 8 / 255),
        ("towards the anchor", f"{OBJECTIVE}.init_args", {"targeted": True}),
    ],
    "attack/square_surrogate": [
        ("Square attack: p=0.05", f"{STEP}.init_args.share", 0.05), ("Alg. 1", STEP, "Square"),
        ("hybrid batch attacks: local examples first", "model.start", "SurrogateStart"),
        ("MI-FGSM: mu 1", "model.start.init_args.step.init_args.momentum", 1.0),
        ("MI-FGSM", "model.start.init_args.step", "MomentumSignStep"),
        ("DI-FGSM", "model.start.init_args.inputs", "DiverseInputs"),
    ],
    "attack/signhunter": [
        ("as many as Square", "trainer.max_epochs", 5000),
        ("ICLR 2020, Alg. 2", STEP, "SignHunter"),
    ],
    "attack/nes": [
        ("ARRA: sigma .01, 1e-3, 20 samples, .5", f"{STEP}.init_args",
         {"lr": 0.001, "pairs": 10, "sigma": 0.01, "momentum": 0.5}),
        ("5,000 questions at 21 a step", "trainer.max_epochs", 5000 // 21),
    ],
    "attack/pta": [
        ("PTA: epsilon / 20", f"{STEP}.init_args.lr", 0.03 / 20),
        ("PTA: 20", "trainer.max_epochs", 20),
        ("PTA: the sign", STEP, "SignStep"), ("PTA: F without alpha", "model.alpha.init_args", ONE),
        ("a public re-implementation", "model.epsilon", 0.03),
    ],
    "attack/pta_code": [
        ("PTA's code: zero_grad is missing", STEP, "AccumulatedSignStep"),
        ("PTA: epsilon / 20", f"{STEP}.init_args.lr", 0.03 / 20),
        ("PTA: 20", "trainer.max_epochs", 20),
    ],
    "attack/sdha": [
        ("SAAT sdha.py: Adam", STEP, "Adam"), ("SAAT sdha.py: 0.01", f"{STEP}.init_args.lr", 0.01),
        ("SAAT: 1500", "trainer.max_epochs", 1500), ("SAAT: 8 / 255.", "model.epsilon", 8 / 255),
        ("SAAT: training codes", f"{OBJECTIVE}.init_args", {"voters": "train"}),
    ],
    "attack/sdha_targeted": [
        ("SAAT sdha.py: 0.01", f"{STEP}.init_args.lr", 0.01), ("SAAT", "trainer.max_epochs", 1500),
        ("SAAT: training codes", f"{OBJECTIVE}.init_args", {"targeted": True, "voters": "train"}),
        ("SAAT select_target_label", f"{TARGETS}.init_args", {"n_t": 1, "rule": "disjoint"}),
    ],
    "attack/tha": [
        ("THA attack.py: 100 epochs of 300, training codes", f"{OBJECTIVE}.init_args",
         {"voters": "train", "steps": 100 * 300}),
        ("THA attack.py", STEP, "SignStep"), ("THA attack.py", f"{STEP}.init_args.lr", 1 / 255),
        ("THA attack.py: iteration = 100", "trainer.max_epochs", 100),
        ("THA attack.py: 8 / 255.0", "model.epsilon", 8 / 255),
        ("THA attack.py: model(query)", "model.alpha.init_args", ONE),
    ],
    "attack/candidate_robrank": [
        ("robrank: 3/255", f"{STEP}.init_args.lr", 3 / 255),
        ("robrank: 32", "trainer.max_epochs", 32),
        ("robrank: 8/255", "model.epsilon", 8 / 255), ("robrank", OBJECTIVE, "CandidateAttack"),
    ],
    "attack/universal": [
        ("Li et al.: 10/255", "model.epsilon", 10 / 255), ("Li et al.", STEP, "MomentumSignStep"),
        ("Li et al.: a tenth of epsilon", f"{STEP}.init_args.lr", 1 / 255),
        ("Li et al.: momentum 1", f"{STEP}.init_args.momentum", 1.0),
    ],
    "attack/universal_li": [
        ("Li et al.: 10/255", "model.epsilon", 10 / 255), ("Li et al.", STEP, "MomentumSignStep"),
        ("Li et al.: a tenth of epsilon", f"{STEP}.init_args.lr", 1 / 255),
        ("Li et al.: momentum 1", f"{STEP}.init_args.momentum", 1.0),
        ("Li et al.: e^-.01 an epoch", "model.rate.init_args.decay", 0.01),
        ("Li et al.: 1024 x 1024", "model.perturbation.init_args.size", 1024),
        ("UAP_retrieval attack.py: 100", "trainer.max_epochs", 100),
    ],
    "attack/universal_targeted": [
        ("SS-TUAA: 10/255", "model.epsilon", 10 / 255), ("SS-TUAA: Adam", STEP, "Adam"),
        ("SS-TUAA: .01", f"{STEP}.init_args.lr", 0.01), ("SS-TUAA: 10", "trainer.max_epochs", 10),
        ("SS-TUAA: margin .3 and weight 1, the defaults", f"{OBJECTIVE}.init_args", None),
    ],
    "overlay/suite": [
        ("SAAT tha.py", f"{STEP}.init_args.lr", 1 / 255), ("SAAT tha.py", STEP, "SignStep"),
        ("SAAT tha.py", "trainer.max_epochs", 100), ("SAAT tha.py", "model.epsilon", 8 / 255),
        ("SAAT tha.py", "model.epsilon_space", "pixel"),
    ],
    "overlay/transferable": [
        ("MI-FGSM mi_fgsm.py: 1.0", f"{STEP}.init_args.momentum", 1.0),
        ("DI-2-FGSM attack.py: prob 0.5", "model.inputs.init_args.probability", 0.5),
        ("SAAT difgsm.py: resize_rate=0.9", "model.inputs.init_args.smallest", 0.9),
    ],
    "overlay/video": [
        ("DHTA 4.3: 500", "trainer.max_epochs", 500),
        ("DHTA 4.3: 0.1", "model.alpha.init_args", {"values": [0.1], "starts": [0.0]}),
        ("DHTA 4.1: all retrieved videos", "model.ranking", {"top_k": None}),
        ("DHTA Table 4", "model.evaluate_at", [0, 10, 50, 100]),
    ],
    "fit/hag": [
        ("HAG III-C", "model.backbone", "vgg16"), ("HAG Eq. 11", LOSS, "PairwiseLoss"),
        ("HAG IV-C: 0.001, fixed", f"{OPTIMIZER}.init_args.lr", 0.001), ("HAG IV-C", DECAY, None),
        ("HAG IV-C", f"{OPTIMIZER}.init_args.momentum", 0.9), ("HAG IV-C", OPTIMIZER, "SGD"),
        ("HAG IV-C: 24", f"{DATA}.batch_size", 24),
    ],
    "fit/dhta": [
        ("DHTA 4.2", "model.backbone", "vgg11"), ("DHTA B: of HAG", LOSS, "PairwiseLoss"),
        ("DHTA B: fixed at 0.01", f"{OPTIMIZER}.init_args.lr", 0.01), ("DHTA B", DECAY, None),
        ("DHTA B", f"{OPTIMIZER}.init_args.momentum", 0.9),
        ("DHTA B", f"{OPTIMIZER}.init_args.weight_decay", 0.0005),
        ("DHTA B: 24", f"{DATA}.batch_size", 24),
    ],
    "fit/dhta_video": [
        ("DHTA B", "model.backbone.init_args.frames", "alexnet"),
        ("DHTA B: 0.0001", f"{LOSS}.init_args.balance", 0.0001), ("DHTA B", LOSS, "DeepVideoLoss"),
        ("DHTA B: fixed at 0.05", f"{OPTIMIZER}.init_args.lr", 0.05), ("DHTA B", DECAY, None),
        ("DHTA B", f"{OPTIMIZER}.init_args.momentum", 0.9),
        ("DHTA B", f"{OPTIMIZER}.init_args.weight_decay", 0.0001),
        ("DHTA B: 100", f"{DATA}.batch_size", 100),
    ],
    "fit/hashnet": [
        ("HashNet train.py: --net ResNet50", "model.backbone", "resnet50"),
        ("HashNet train.py: 48", "model.bits", 48), ("HashNet", LOSS, "HashNetLoss"),
        ("HashNet train.py: 10. / hash_bit", f"{LOSS}.init_args.alpha", None),
        ("HashNet network.py: step_size 200 of 10,000", f"{LOSS}.init_args.stages", 10_000 // 200),
        ("HashNet README: 0.0003, x 10", f"{OPTIMIZER}.init_args.lr", 0.003),
        ("HashNet train.py: lr 1 and 10", "model.pretrained_lr_scale", 1 / 10),
        ("HashNet train.py", f"{OPTIMIZER}.init_args.momentum", 0.9),
        ("HashNet train.py", f"{OPTIMIZER}.init_args.nesterov", True),
        ("HashNet train.py", f"{OPTIMIZER}.init_args.weight_decay", 0.0005),
        ("HashNet train.py: step 2000", f"{DECAY}.init_args.starts", [0.2, 0.4, 0.6, 0.8]),
        ("HashNet train.py: gamma 0.5", f"{DECAY}.init_args.gamma", 0.5),
        ("HashNet train.py: 36", f"{DATA}.batch_size", 36),
    ],
    "fit/greedyhash": [
        ("GreedyHash cifar1.py", "model.backbone", "alexnet"),
        ("GreedyHash cifar1.py", LOSS, "GreedyHashLoss"),
        ("GreedyHash cifar1.py: 0.1 * loss2", f"{LOSS}.init_args.penalty_weight", 0.1),
        ("GreedyHash cifar1.py", f"{OPTIMIZER}.init_args.lr", 0.001),
        ("GreedyHash cifar1.py", f"{OPTIMIZER}.init_args.momentum", 0.9),
        ("GreedyHash cifar1.py", f"{OPTIMIZER}.init_args.weight_decay", 5e-4),
        ("GreedyHash cifar1.py: epoch_lr_decrease", f"{DECAY}.init_args.starts", [30 / 50]),
        ("GreedyHash cifar1.py", f"{DECAY}.init_args.gamma", 0.1),
        ("GreedyHash cifar1.py: num_epochs", "trainer.max_epochs", 50),
        ("GreedyHash cifar1.py", f"{DATA}.batch_size", 32),
    ],
    "fit/csq": [
        ("CSQ README", "model.backbone", "resnet50"), ("CSQ README", "model.bits", 64),
        ("CSQ README: --lambda2 0.05", f"{LOSS}.init_args.quantization_weight", 0.05),
        ("CSQ options.py", f"{OPTIMIZER}.init_args.lr", 0.001), ("CSQ train.py", OPTIMIZER, "Adam"),
        ("CSQ options.py: multi_lr", "model.pretrained_lr_scale", 0.01),
        ("CSQ train.py: epoch // 10", f"{DECAY}.init_args.starts", [n / 9 for n in range(1, 9)]),
        ("CSQ train.py: 0.7", f"{DECAY}.init_args.gamma", 0.7),
        ("CSQ train.py: total_epoch", "trainer.max_epochs", 90),
        ("CSQ options.py", f"{DATA}.batch_size", 64),
    ],
    "fit/dpsh": [
        ("DPSH_CIFAR_10.py", "model.backbone", "alexnet"), ("DPSH_CIFAR_10.py", LOSS, "DPSHLoss"),
        ("DPSH_CIFAR_10_demo.py: lamda", f"{LOSS}.init_args.eta", 10.0),
        ("DPSH_CIFAR_10.py", f"{OPTIMIZER}.init_args.lr", 0.05),
        ("DPSH_CIFAR_10.py: none", f"{OPTIMIZER}.init_args.momentum", 0.0),
        ("DPSH_CIFAR_10.py", f"{OPTIMIZER}.init_args.weight_decay", 1e-5),
        ("DPSH_CIFAR_10.py: U", "model.code_bank", True),
        ("DPSH_CIFAR_10.py: after epoch 50", f"{DECAY}.init_args.starts", [51 / 150, 101 / 150]),
        ("DPSH_CIFAR_10.py", f"{DECAY}.init_args.gamma", 0.1),
        ("DPSH_CIFAR_10.py", "trainer.max_epochs", 150),
        ("DPSH_CIFAR_10.py", f"{DATA}.batch_size", 128),
    ],
    "fit/dch": [
        ("DCH train_val_script.py: gamma", f"{LOSS}.init_args.gamma", 20.0),
        ("DCH dch.py: 0.9", f"{OPTIMIZER}.init_args.momentum", 0.9),
        ("DCH dch.py: fcgrad*10", "model.pretrained_lr_scale", 1 / 10),
        ("DCH train_val_script.py", "model.backbone", "alexnet"),
    ],
    "fit/pca": [
        ("Hashing-Baseline 3: PCA, a random rotation, signs", "model.head", "PCA"),
        ("Hashing-Baseline 3", "model.head.init_args.rotate", True),
        ("Hashing-Baseline: no training", "trainer.max_epochs", 0),
        ("Hashing-Baseline: frozen", "model.pretrained_lr_scale", 0.0),
    ],
    "fit/itq": [
        ("ITQ 3.1", "model.head", "ITQ"), ("ITQ 3.1: 50", "model.head.init_args.iterations", 50),
        ("ITQ: of given features", "model.pretrained_lr_scale", 0),
        ("ITQ", "trainer.max_epochs", 0),
    ],
    "fit/lsh": [
        ("Charikar 3", "model.head", "LSH"), ("Charikar", "trainer.max_epochs", 0),
        ("Charikar: of given features", "model.pretrained_lr_scale", 0),
    ],
    "fit/orthohash": [
        ("OrthoHash models/alexnet.py", "model.backbone", "BatchNormNetwork"),
        ("OrthoHash main.py", "model.backbone.init_args.features", "alexnet"),
        ("OrthoHash main.py: --nbit", "model.bits", 64), ("OrthoHash", LOSS, "OrthoHashLoss"),
        ("OrthoHash main.py: --scale", f"{LOSS}.init_args.scale", 8.0),
        ("OrthoHash main.py: --margin", f"{LOSS}.init_args.margin", 0.2),
        ("OrthoHash main.py", OPTIMIZER, "Adam"),
        ("OrthoHash main.py: --lr", f"{OPTIMIZER}.init_args.lr", 1e-4),
        ("OrthoHash main.py", f"{OPTIMIZER}.init_args.weight_decay", 5e-4),
        ("OrthoHash train_hashing.py: backbone_lr_scale", "model.pretrained_lr_scale", 0.1),
        ("OrthoHash main.py: epochs * 0.8", f"{DECAY}.init_args.starts", [0.8]),
        ("OrthoHash main.py", f"{DECAY}.init_args.gamma", 0.1),
        ("OrthoHash main.py: --epochs", "trainer.max_epochs", 100),
        ("OrthoHash main.py: --bs", f"{DATA}.batch_size", 256),
    ],
    "fit/dpn": [
        ("DPN main.py: --arch", "model.backbone", "alexnet"), ("DPN", LOSS, "DPNLoss"),
        ("DPN main.py: --nbit", "model.bits", 64), ("DPN main.py", OPTIMIZER, "SGD"),
        ("DPN main.py: --margin", f"{LOSS}.init_args.margin", 1.0),
        ("DPN main.py: --lr", f"{OPTIMIZER}.init_args.lr", 1e-4),
        ("DPN main.py", f"{OPTIMIZER}.init_args.momentum", 0.9),
        ("DPN main.py", f"{OPTIMIZER}.init_args.weight_decay", 5e-4),
        ("DPN main.py: epochs * 0.5", f"{DECAY}.init_args.starts", [0.5]),
        ("DPN main.py", f"{DECAY}.init_args.gamma", 0.1),
        ("DPN main.py: --epochs", "trainer.max_epochs", 200),
        ("DPN main.py: --bs", f"{DATA}.batch_size", 256),
    ],
    "fit/hyp2": [
        ("HyP2 config.py: --backbone", "model.backbone", "alexnet"), ("HyP2", LOSS, "HyP2Loss"),
        ("HyP2 config.py: --hash_bit", "model.bits", 48), ("HyP2 retrieval.py", OPTIMIZER, "SGD"),
        ("HyP2 config.py: --beta", f"{LOSS}.init_args.beta", 0.5),
        ("HyP2 config.py: codetable.xlsx", f"{LOSS}.init_args.threshold", None),
        ("HyP2 config.py: --rate 0.02", f"{OPTIMIZER}.init_args.lr", 0.02),
        ("HyP2 config.py: feature_rate 0.01", "model.pretrained_lr_scale", 0.01 / 0.02),
        ("HyP2 retrieval.py", f"{OPTIMIZER}.init_args.momentum", 0.9),
        ("HyP2 retrieval.py", f"{OPTIMIZER}.init_args.weight_decay", 5e-4),
        ("HyP2 retrieval.py: step_size=10", f"{DECAY}.init_args.starts",
         [n / 10 for n in range(1, 10)]),
        ("HyP2 retrieval.py", f"{DECAY}.init_args.gamma", 0.5),
        ("HyP2 config.py: --epochs", "trainer.max_epochs", 100),
        ("HyP2 config.py: --batch_size", f"{DATA}.batch_size", 100),
    ],
    "fit/dtsh": [
        ("DTSH", LOSS, "DTSHLoss"), ("DTSH train_triplet.m: codelens / 2",
         f"{LOSS}.init_args.margin", None),
        ("DTSH DTSH.m: 5 * 1e-4, a sum of 22,500 doubled over 5,000",
         f"{OPTIMIZER}.init_args.lr", 5e-4 * 2 * 22_500 / 5000),
        ("DTSH update.m: none", f"{OPTIMIZER}.init_args.momentum", 0.0),
        ("DTSH DTSH.m: stepsize 20 of 100", f"{DECAY}.init_args.starts", [0.2, 0.4, 0.6, 0.8]),
        ("DTSH DTSH.m: maxIter", "trainer.max_epochs", 100),
        ("DTSH train_triplet.m", f"{DATA}.batch_size", 128),
    ],
    "fit/dsh": [
        ("DSH", LOSS, "DSHLoss"), ("DSH train_test.prototxt: num_output", "model.bits", 12),
        ("DSH train_test.prototxt: 24, 2 K", f"{LOSS}.init_args.margin", None),
        ("DSH train_test.prototxt: tradeoff", f"{LOSS}.init_args.penalty_weight", 0.01),
        ("DSH solver.prototxt", f"{OPTIMIZER}.init_args.lr", 0.001),
        ("DSH solver.prototxt", f"{OPTIMIZER}.init_args.momentum", 0.9),
        ("DSH solver.prototxt", f"{OPTIMIZER}.init_args.weight_decay", 0.004),
        ("DSH solver.prototxt: 60000, 65000 of 70000", f"{DECAY}.init_args.starts",
         [60_000 / 70_000, 65_000 / 70_000]),
        ("DSH solver.prototxt", f"{DECAY}.init_args.gamma", 0.1),
        ("DSH: 70,000 iterations of 200 of 50,000", "trainer.max_epochs", 70_000 * 200 // 50_000),
        ("DSH train_test.prototxt", f"{DATA}.batch_size", 200),
    ],
    "fit/mdshc": [
        ("MDSHC optimizeAccel.py", f"{LOSS}.init_args.center_rule", "mdshc"),
        ("MDSHC utils.py: lambda", f"{LOSS}.init_args.quantization_weight", 1e-4),
        ("MDSHC utils.py", "model.bits", 16), ("MDSHC utils.py", OPTIMIZER, "RMSprop"),
        ("MDSHC utils.py", f"{OPTIMIZER}.init_args.lr", 1e-5),
        ("MDSHC utils.py", f"{OPTIMIZER}.init_args.weight_decay", 1e-5),
        ("MDSHC utils.py", f"{DATA}.batch_size", 64), ("MDSHC train_CUB.py", DECAY, None),
        ("MDSHC Net.py", "model.backbone", "resnet50"),
    ],
    "fit/idhn": [
        ("IDHN alexnet.py", "model.backbone", "alexnet"), ("IDHN", LOSS, "IDHNLoss"),
        ("IDHN train-flickr.sh: --num_bit", "model.bits", 48),
        ("IDHN train.py: --belta", f"{LOSS}.init_args.beta", 5.0),
        ("IDHN train.py: --gama", f"{LOSS}.init_args.gamma", 0.1),
        ("IDHN train.py: --alpha", f"{LOSS}.init_args.quantization_weight", 0.1),
        ("IDHN train.py: --lr", f"{OPTIMIZER}.init_args.lr", 1e-3),
        ("IDHN train.py: learning_rate * 0.01", "model.pretrained_lr_scale", 0.01),
        ("IDHN train.py", OPTIMIZER, "Adam"),
        ("IDHN train.py: --decay_step 500", f"{DECAY}.init_args.starts",
         [500 * n / 3125 for n in range(1, 7)]),
        ("IDHN train.py: --decay_rate", f"{DECAY}.init_args.gamma", 0.5),
        ("IDHN train-flickr.sh", "trainer.max_epochs", 100),
        ("IDHN train-flickr.sh", f"{DATA}.batch_size", 128),
    ],
    "fit/bihalf": [
        ("FIRe default.yaml", "model.backbone", "alexnet"), ("BiHalf", LOSS, "BiHalfLoss"),
        ("BiHalf Cifar10_I.py: gamma", f"{LOSS}.init_args.gamma", 6.0),
        ("FIRe default.yaml: nbit", "model.bits", 64), ("FIRe default.yaml", OPTIMIZER, "Adam"),
        ("FIRe default.yaml", f"{OPTIMIZER}.init_args.lr", 1e-4),
        ("FIRe default.yaml", f"{OPTIMIZER}.init_args.weight_decay", 5e-4),
        ("FIRe default.yaml: backbone_lr_scale", "model.pretrained_lr_scale", 0.0),
        ("FIRe default.yaml: step_size", f"{DECAY}.init_args.starts", [0.8]),
        ("FIRe default.yaml: lr_decay_rate", f"{DECAY}.init_args.gamma", 0.1),
        ("FIRe default.yaml", "trainer.max_epochs", 100),
        ("FIRe default.yaml", f"{DATA}.batch_size", 64),
    ],
    "fit/dsdh": [
        ("DSDH", LOSS, "DSDHLoss"), ("DSDH train.m: half of 1", f"{LOSS}.init_args.mu", 1 / 2),
        ("DSDH train.m: half of lambda", f"{LOSS}.init_args.nu", 0.1 / 2),
        ("DSDH main.m: half of eta", f"{LOSS}.init_args.eta", 55 / 2),
        ("DSDH train.m: U", "model.code_bank", True),
        ("DSDH DSDH.m: logspace(-2,...), twice", f"{OPTIMIZER}.init_args.lr", 2 * 1e-2),
        ("DSDH update.m: half", f"{OPTIMIZER}.init_args.weight_decay", 5e-4 / 2),
        ("DSDH update.m: none", f"{OPTIMIZER}.init_args.momentum", 0.0),
        ("DSDH DSDH.m: logspace(-2,-6)", f"{DECAY}.init_args.last", 1e-6 / 1e-2),
        ("DSDH DSDH.m: maxIter", "trainer.max_epochs", 150),
        ("DSDH train.m", f"{DATA}.batch_size", 128),
    ],
    "data/coco_hag": [
        ("HAG IV-A", f"{DATA}.train", "10000 from all"), ("HAG IV-C", f"{DATA}.size", 224),
        ("HAG IV-A", f"{DATA}.query", "200 from all"),
        ("HAG IV-A: but the 200", f"{DATA}.database", "all but query of all"),
    ],
    "data/flickr25k_hag": [
        ("HAG IV-A", f"{DATA}.train", "5000 from all"), ("HAG IV-A", f"{DATA}.labels", 24),
        ("HAG IV-A", f"{DATA}.query", "200 from all"), ("HAG IV-C", f"{DATA}.size", 224),
        ("HAG IV-A: but the 200", f"{DATA}.database", "all but query of all"),
    ],
    "data/nuswide_hag": [
        ("HAG IV-A", f"{DATA}.train", "5000 from all"), ("HAG IV-A: ten", f"{DATA}.labels", 10),
        ("HAG IV-A", f"{DATA}.query", "200 from all"), ("HAG IV-C", f"{DATA}.size", 224),
        ("HAG IV-A: but the 200", f"{DATA}.database", "all but query of all"),
    ],
    "data/nuswide_dhta": [
        ("DHTA C: 20 most frequent", f"{DATA}.labels", 20),
        ("DHTA C", f"{DATA}.query", "5000 from all"),
    ],
    "data/imagenet100_dhta": [
        ("DHTA C: 100 per class of the database", f"{DATA}.train", "100 per class from train"),
        ("DHTA C: the training set", f"{DATA}.database", "train"),
        ("DHTA C: the testing set", f"{DATA}.query", "val"),
    ],
    "data/imagenet100_open": [
        ("DHTA C", f"{DATA}.train", "100 per class from train"), ("DHTA C", f"{DATA}.query", "val"),
        ("DHTA 4.5: images of the other classes", f"{DATA}.open_set", "train"),
    ],
    "data/jhmdb": [
        ("DHTA C", f"{DATA}.train", "10 per class from all"),
        ("DHTA C", f"{DATA}.query", "10 per class from all"), ("DHTA B: 40", f"{DATA}.frames", 40),
        ("DHTA C: the rest", f"{DATA}.database", "rest of all"), ("DHTA B", f"{DATA}.stride", None),
    ],
    "data/ucf101": [
        ("DHTA C", f"{DATA}.train", "30 per class from all"), ("DHTA B: 3", f"{DATA}.stride", 3),
        ("DHTA C", f"{DATA}.query", "30 per class from all"), ("DHTA B: 40", f"{DATA}.frames", 40),
        ("DHTA C: the remaining", f"{DATA}.database", "rest of all"),
    ],
}  # fmt: skip
ROWS = [(config, *row) for config, rows in TABLE.items() for row in rows]


def number(value):
    """Read a fraction as the number that the program makes of it."""
    if isinstance(value, list):
        return [number(each) for each in value]
    try:
        return float(Fraction(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def setting(config, path):
    """Return a setting of a config; of a class its name."""
    found = yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())
    for part in path.split("."):
        found = (found or {}).get(part)
    if isinstance(found, dict) and "class_path" in found:
        return found["class_path"].rpartition(".")[2]
    return found if isinstance(found, dict) else number(found)


@pytest.mark.parametrize(("config", "source", "path", "value"), ROWS)
def test_constants(config, source, path, value):
    found = setting(config, path)
    assert found == (value if isinstance(value, str | dict) else pytest.approx(value)), source


def test_every_preset_that_names_a_method_has_its_constants_here():
    own = {"fit/demo_video", "attack/candidate", "attack/patch", "attack/patch_targeted"}  # ours
    named = {f"attack/{p.stem}" for p in CONFIGS.glob("attack/*.yaml")} - own
    named |= {f"fit/{path.stem}" for path in CONFIGS.glob("fit/*.yaml")} - own
    named |= {f"data/{p.stem}" for p in CONFIGS.glob("data/*_hag.yaml")}
    named |= {f"data/{p.stem}" for p in CONFIGS.glob("data/*_dhta.yaml")}
    assert named <= set(TABLE)


def test_defaults_are_the_papers():
    """What presets leave out."""
    from lightning_hash.attacks import HAG, AlphaSchedule, HAGCode, TargetChoice
    from lightning_hash.functional import RankingOptions
    from lightning_hash.losses import (
        BiHalfLoss,
        CSQLoss,
        DCHLoss,
        DeepVideoLoss,
        DPNLoss,
        DPSHLoss,
        DSDHLoss,
        DSHLoss,
        DTSHLoss,
        GreedyHashLoss,
        HashNetLoss,
        HyP2Loss,
        IDHNLoss,
        OrthoHashLoss,
    )

    assert HAG().threshold == HAGCode().threshold == 0.5  # HAG IV-F, main.py: threshold = 0.5
    assert HAGCode().beta == 1.0  # main.py: beta = 1.0
    assert (TargetChoice().n_t, TargetChoice().rule) == (9, "different")  # DHTA 4.2
    assert RankingOptions().top_k == 1000  # HAG IV-B, DHTA 4.1
    schedule = AlphaSchedule()  # HAG IV-C: 1000 of 2000, then every 200
    assert schedule.values == (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
    assert [start * 2000 for start in schedule.starts] == [0, 1000, 1200, 1400, 1600, 1800]
    assert CSQLoss().quantization_weight == 0.05  # CSQ options.py: lambda2
    assert DeepVideoLoss().balance == 1e-4  # DHTA B
    assert DPSHLoss().eta == 10.0  # DPSH_CIFAR_10_demo.py: lamda
    assert GreedyHashLoss().penalty_weight == 0.1  # cifar1.py
    assert (DCHLoss().gamma, DCHLoss().quantization_weight) == (20.0, 0.1)  # gamma of DCH's script
    ortho, dtsh, dsdh, idhn = OrthoHashLoss(), DTSHLoss(), DSDHLoss(), IDHNLoss()
    assert (ortho.scale, ortho.margin, ortho.margin_type) == (8.0, 0.2, "cosine")  # main.py
    assert ortho.center_rule == "random"  # main.py: --codebook-method B
    assert (DPNLoss().margin, DPNLoss().center_rule) == (1.0, "random")  # main.py of DPN
    assert (HyP2Loss().beta, HyP2Loss().threshold) == (0.5, None)  # config.py of HyP2
    assert dtsh.margin is None  # K / 2, DTSH.m: codelens / 2
    assert dtsh.quantization_weight == 100 / (50 * 50 * 9)  # DTSH.m: eta, train_triplet.m: M1, M2
    assert (DSHLoss().margin, DSHLoss().penalty_weight) == (None, 0.01)  # train_test.prototxt
    assert (idhn.beta, idhn.gamma, idhn.quantization_weight) == (5.0, 0.1, 0.1)  # train.py of IDHN
    assert BiHalfLoss().gamma == 6.0  # Cifar10_I.py
    assert (dsdh.mu, dsdh.nu, dsdh.eta) == (1.0, 0.1, 55.0)  # train.m, main.m of DSDH
    assert HashNetLoss().alpha is None  # 10 / K, train.py
    assert HashNetLoss().stages == 50  # network.py: 10,000 iterations, step_size 200


BITS = {"hag": [16, 32, 64, 128], "dhta": [16, 32, 48, 64]}  # HAG Table I, DHTA Table 1
MILESTONES = {"hag_table1": {0, 10, 100, 500, 1000, 1500, 2000},  # HAG Table I
              "hag_table2": {500, 1000, 1500, 2000},  # HAG Table II
              "dhta_table3": {1000, 1500, 2000},  # DHTA Table 3, as far as it is legible
              "dhta_table4": {10, 50, 100, 500}}  # fmt: skip
# The paper's experiment: code lengths, epsilons, n_t, queries, top_k of its attacks.
EXPERIMENTS = {
    "hag_table1": (BITS["hag"], {10 / 255}, {None}, {None}, {1000}),  # IV-B, IV-C
    "hag_table2": (BITS["hag"], {10 / 255}, {None}, {None}, {1000}),
    "hag_table3": (BITS["hag"], {10 / 255}, {None}, {None}, {1000}),
    "hag_fig2": ([16], {10 / 255}, {None}, {None}, {1000}),  # III-B
    "hag_fig5": ([32], {10 / 255}, {None}, {None}, {1000}),
    "dhta_table1": (BITS["dhta"], {0.032}, {1, 9}, {100}, {1000, 5000}),  # 4.1, 4.2
    "dhta_table2": (BITS["dhta"], {0.032}, {1, 9}, {100}, {None}),  # 4.3
    "dhta_table3": (BITS["dhta"], {0.032}, {9}, {100}, {1000}),
    "dhta_table4": (BITS["dhta"], {0.032}, {9}, {100}, {None}),
    "dhta_table6": (BITS["dhta"], {0.032}, {5, 7, 9, 11}, {100}, {1000}),  # Table 6
    "dhta_table7": (BITS["dhta"], {0.032}, {1, 9}, {100}, {5000}),
    "dhta_table8": ([32], {0.01, 0.02, 0.03, 0.04, 0.05}, {9}, {100}, {None, 1000}),  # Table 8
    "dhta_table9": (BITS["dhta"], {0.032}, {1, 9}, {100}, {None, 1000}),
    "dhta_fig3": ([48], {0.032}, {1, 9}, {100}, {1000, 5000}),
    "dhta_fig5": ([48], {0.032}, {1, 9}, {100}, {None}),
    "dhta_fig7": (BITS["dhta"], {0.032}, {1, 3, 5, 7, 9, 11, 13}, {100}, {None, 1000}),  # 4.4
}  # fmt: skip


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_are_those_of_the_papers(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    runs = [
        r for r in read_plan([Path(f"configs/papers/{name}.yaml")], "full") if r.verb == "attack"
    ]
    bits, epsilons, sizes, queries, depths = EXPERIMENTS[name]
    given = [run.configuration["options"]["model"] for run in runs]
    victims = [run.options["model.victim"].configuration["options"]["model"] for run in runs]
    assert sorted({victim["bits"] for victim in victims}) == bits
    assert {number(model["epsilon"]) for model in given} == epsilons
    assert {model["targets"]["init_args"].get("n_t") for model in given} == sizes
    assert {model["n_queries"] for model in given} == queries
    assert {model["ranking"]["top_k"] for model in given} == depths
    for run, model in zip(runs, given, strict=True):
        last = run.configuration["options"].get("trainer", {}).get("max_epochs", 0)
        assert MILESTONES.get(name, set()) <= {*model["evaluate_at"], last}
        assert last in (0, 500, 2000)


def test_victims_of_hag_see_images_as_they_are(monkeypatch):
    """HAG IV-C: resized to 224 x 224 before being used as the inputs."""
    monkeypatch.chdir(ROOT)
    runs = read_plan([Path("configs/papers/hag_table1.yaml")], "full")
    fits = [run.configuration["options"]["data"] for run in runs if run.verb == "fit"]
    assert len(fits) == 3 * 4
    assert all(data.get("augment", data["init_args"].get("augment")) is False for data in fits)
